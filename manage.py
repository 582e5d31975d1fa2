#!/usr/bin/env python
"""Django's command line; `./portal manage …` starts the services it needs first."""

import os
import sys


def main() -> None:
    """Run one Django command with the settings of this project."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "consortium.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - settings must be named first

    from consortium.kernel.configuration import ConfigurationError  # noqa: PLC0415

    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()

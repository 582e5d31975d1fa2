"""The family of failures that a person at the terminal can mend."""


class EmbeddedError(Exception):
    """Something we start ourselves does not start; `str()` is a whole sentence for the person who reads it."""

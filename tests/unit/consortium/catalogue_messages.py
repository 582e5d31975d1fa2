"""Every message that the code and the templates ask the catalogue for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parents[3]
APPS = ("consortium", "members", "billing", "provisioning")
CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
# What Django's templatize writes for a message in a template.
STRING = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?''')"""
IN_TEMPLATE = re.compile(rf"(?<![\w.])(n?gettext|_)\(\s*{STRING}(?:\s*,\s*{STRING})?")


def asked() -> dict[str, str]:
    """Each message with the file that asks for it first."""
    found: dict[str, str] = {}
    for path in sorted(path for app in APPS for path in (ROOT / app).rglob("*.py") if "migrations" not in path.parts):
        for message in _in_python(path):
            found.setdefault(message, str(path.relative_to(ROOT)))
    for path in sorted([*(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.txt")]):
        for message in _in_template(path):
            found.setdefault(message, str(path.relative_to(ROOT)))
    return found


def _in_python(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in CALLS:
            continue
        for argument in node.args[:1]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def _in_template(path: Path) -> Iterator[str]:
    for match in IN_TEMPLATE.finditer(templatize(path.read_text(encoding="utf-8"), origin=str(path))):
        message = ast.literal_eval(match.group(2))
        if isinstance(message, str) and message:
            yield message

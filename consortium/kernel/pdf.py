"""WeasyPrint, with its doors shut: nothing is fetched while a document is drawn, except our own style sheet's fonts.

The library takes a second to import, so it is imported by the first document and not by every process.
"""

import atexit
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from django.contrib.staticfiles import finders

from consortium.kernel.pdf_attachments import Attached, mended

VARIANT: Final = "pdf/a-3a"
FONTS: Final = "portal/fonts"


def write_pdf(html: str, *, sheet: str, attached: Attached | None = None) -> bytes:
    """Will draw a page as PDF/A-3 with tags, in the style of a static file.

    `html` is our own template's output, its values escaped. `attached` goes into the file as the source of its pages.
    """
    from weasyprint import HTML  # noqa: PLC0415 - slow to import

    style, fonts = _style(sheet)
    drawn = HTML(string=html, url_fetcher=_deny_all(), base_url="about:blank")
    with warnings.catch_warnings():
        # The library leaves its colour profile open until it is collected.
        warnings.filterwarnings("ignore", message="unclosed file .*sRGB", category=ResourceWarning)
        options = {"stylesheets": [style], "font_config": fonts, "pdf_variant": VARIANT}
        if attached is None:
            return bytes(drawn.write_pdf(**options))
        return mended(bytes(drawn.write_pdf(attachments=[_attachment(attached)], **options)), attached)


def _attachment(attached: Attached) -> Any:
    from weasyprint import Attachment  # noqa: PLC0415 - slow to import

    return Attachment(
        string=attached.content,
        name=attached.name,
        description=attached.description,
        relationship="Alternative",
    )


@cache
def _deny_all() -> Any:
    """A fetcher for all documents that opens nothing at all."""
    from weasyprint.urls import URLFetcher  # noqa: PLC0415 - slow to import

    return URLFetcher(allowed_protocols=[], allow_redirects=False)


@cache
def _style(sheet: str) -> tuple[Any, Any]:
    """The parsed style sheet and its fonts, once per process; it may open the files of the font folder only."""
    from weasyprint import CSS  # noqa: PLC0415 - slow to import
    from weasyprint.text.fonts import FontConfiguration  # noqa: PLC0415 - slow to import
    from weasyprint.urls import URLFetcher  # noqa: PLC0415 - slow to import

    folder = _static(FONTS).resolve()

    class OnlyFonts(URLFetcher):  # type: ignore[misc] # the library is untyped
        def fetch(self, url: str, headers: Any = None) -> Any:
            if folder not in Path(unquote(urlsplit(url).path)).resolve().parents:
                raise ValueError(f"{url} is no font of ours")
            return super().fetch(url, headers)

    fonts = FontConfiguration()
    fetcher = OnlyFonts(allowed_protocols=["file"], allow_redirects=False)
    return CSS(filename=str(_static(sheet)), font_config=fonts, url_fetcher=fetcher), fonts


# The library's fonts clean up after themselves, which fails once the interpreter has taken its modules apart.
atexit.register(_style.cache_clear)


def _static(name: str) -> Path:
    found = finders.find(name)
    if not isinstance(found, str):
        raise FileNotFoundError(f"The static file {name} is missing from this installation.")
    return Path(found)

"""Documents in two languages: a document may be English, French, or both, one after the other in one file."""

import re
from collections.abc import Sequence
from typing import Final

BOTH: Final = "both"
_BODY: Final = re.compile(r"<body[^>]*>(.*)</body>", re.DOTALL)


def two_in_one(pages: Sequence[str]) -> str:
    """Will return one page of HTML: the first as it is, each other one behind it on a new sheet in its own language."""
    first, *others = pages
    bodies = "".join(
        f'<section class="other-language" lang="fr-CA">{found.group(1)}</section>'
        for other in others
        if (found := _BODY.search(other))
    )
    return first.replace("</body>", f"{bodies}</body>", 1) if bodies else first

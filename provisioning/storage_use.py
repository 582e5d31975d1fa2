"""From looks at how much storage a hub's homes take to byte-seconds. Pure: no Django, no clock; exact.

A look holds until the next one, but no longer than `holds`: after that nobody knows, and nothing is counted.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from provisioning.sessions import Span


def storage_byte_seconds(looks: Iterable[tuple[datetime, int]], *, holds: timedelta, within: Span) -> Decimal:
    """Will return what was stored within the span, as bytes times seconds.

    Give the last look before the span too. Over spans that tile a longer one the sums are that one's exactly.
    """
    last = (within.end, 0)
    total = Decimal(0)
    for (at, size), (following, _) in pairwise([*sorted(looks), last]):
        held = Span(at, max(min(following, at + holds), at)).clipped(within)
        if held is not None:
            total += held.seconds * size
    return total

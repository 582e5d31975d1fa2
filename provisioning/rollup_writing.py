"""Writes rolled-up days: copied into the database as one stream, then set over what stood there in three statements.

Row by row a month of many hubs would cost its round trips. Copying straight into a table with row-level security is not
possible, so the stream goes through temporary tables that end with the transaction.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import connection

from provisioning.models import HubDay

FACTS: Final = (
    "institution_id",
    "zone",
    "server_seconds",
    "memory_gib_seconds",
    "gpu_seconds",
    "storage_gib_seconds",
    "active_users",
    "sessions",
    "gap_seconds",
    "rolled_at",
)
_COLUMNS: Final = ("hub_id", "day", *FACTS)
_BEGIN: Final = """
CREATE TEMPORARY TABLE IF NOT EXISTS rolled_day (LIKE provisioning_hubday) ON COMMIT DROP;
ALTER TABLE rolled_day ALTER id DROP NOT NULL, ALTER generated DROP NOT NULL;
CREATE TEMPORARY TABLE IF NOT EXISTS rolled_user
    (institution_id uuid NOT NULL, hub_id uuid NOT NULL, day date NOT NULL, pseudonym text NOT NULL) ON COMMIT DROP;
TRUNCATE rolled_day, rolled_user;
"""
# Generated demonstration data stays as it is, and so do its people.
_DAYS: Final = f"""
INSERT INTO provisioning_hubday ({", ".join(_COLUMNS)}, generated)
SELECT {", ".join(_COLUMNS)}, false FROM rolled_day
ON CONFLICT (hub_id, day) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in FACTS)}
WHERE NOT provisioning_hubday.generated
"""  # noqa: S608 - names of columns, from this file
_GONE: Final = """
DELETE FROM provisioning_hubdayuser AS held USING rolled_day AS day
WHERE held.hub_id = day.hub_id AND held.day = day.day AND NOT EXISTS (
    SELECT FROM rolled_user AS seen
    WHERE seen.hub_id = held.hub_id AND seen.day = held.day AND seen.pseudonym = held.pseudonym
) AND NOT EXISTS (
    SELECT FROM provisioning_hubday AS made
    WHERE made.hub_id = day.hub_id AND made.day = day.day AND made.generated
)
"""
_USERS: Final = """
INSERT INTO provisioning_hubdayuser (institution_id, hub_id, day, pseudonym)
SELECT institution_id, hub_id, day, pseudonym FROM rolled_user AS seen WHERE NOT EXISTS (
    SELECT FROM provisioning_hubday AS made
    WHERE made.hub_id = seen.hub_id AND made.day = seen.day AND made.generated
) ON CONFLICT DO NOTHING
"""


def write_days(rows: Sequence[HubDay], users: Mapping[tuple[Any, Any], frozenset[str]]) -> None:
    """Will set each hub-day over what stood there, with its people: `users` by (hub's key, day).

    Written again it comes out the same. Needs an open transaction in a scope that sees the hubs.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN)
        with cursor.copy(f"COPY rolled_day ({', '.join(_COLUMNS)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row([getattr(row, name) for name in _COLUMNS])
        with cursor.copy("COPY rolled_user (institution_id, hub_id, day, pseudonym) FROM STDIN") as copy:
            for row in rows:
                for pseudonym in sorted(users.get((row.hub_id, row.day), ())):
                    copy.write_row([row.institution_id, row.hub_id, row.day, pseudonym])
        for statement in (_DAYS, _GONE, _USERS):
            cursor.execute(statement)

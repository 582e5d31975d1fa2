"""What the agreement promises of support: its severities, each with the hours to the first answer and to news."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consortium.kernel.language import Bilingual
from members.entitlements import NoAgreement, entitlements
from members.schedule import ServiceLevel
from provisioning.models import Hub


@dataclass(frozen=True, kw_only=True)
class SeverityTerms:
    """One severity; hours are None where nothing is promised. Business hours unless `around_the_clock`."""

    code: str
    name_en: str
    name_fr: str
    response_hours: int | None
    update_hours: int | None
    around_the_clock: bool = False

    name = Bilingual("name")


@dataclass(frozen=True, kw_only=True)
class SupportTerms:
    """The severities to choose from, the gravest first, and the zone of the business hours."""

    severities: tuple[SeverityTerms, ...]
    zone: str
    promised: bool

    def of(self, code: str) -> SeverityTerms | None:
        """The severity of that code."""
        return next((each for each in self.severities if each.code == code), None)


def support_terms(institution_id: UUID, hub: Hub, *, at: datetime) -> SupportTerms:
    """Will return the terms of that instant; without an agreement one may still ask, and nothing is promised."""
    try:
        promised = entitlements(institution_id, at=at)
    except NoAgreement:
        return SupportTerms(severities=_plain(None), zone=hub.zone, promised=False)
    level = promised.service_level
    listed = tuple(
        SeverityTerms(
            code=each.code,
            name_en=each.name_en,
            name_fr=each.name_fr,
            response_hours=each.response_hours,
            update_hours=each.update_hours,
            around_the_clock=each.around_the_clock,
        )
        for each in level.severities
    )
    return SupportTerms(severities=listed or _plain(level), zone=promised.zone, promised=True)


def _plain(level: ServiceLevel | None) -> tuple[SeverityTerms, ...]:
    """The two severities of an agreement that names response times alone."""
    return (
        SeverityTerms(
            code="urgent",
            name_en="People cannot work",
            name_fr="On ne peut pas travailler",
            response_hours=level.urgent_response_hours if level else None,
            update_hours=None,
        ),
        SeverityTerms(
            code="normal",
            name_en="A question or a wish",
            name_fr="Une question ou un souhait",
            response_hours=level.response_hours if level else None,
            update_hours=None,
        ),
    )

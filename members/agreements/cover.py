"""Which days an agreement covers, and which versions would cover the same ones."""

from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from consortium.kernel.errors import Invalid
from consortium.kernel.periods import local_date
from consortium.kernel.spoken import spoken_day
from members.models import Agreement
from members.models.agreements import BINDING

LIVE = ("in_force", "suspended", "terminating")
OPEN = ("draft", "offered", "signed", "announced")


class TermsOverlap(Invalid):
    """Two versions would cover the same days."""

    code = "terms_overlap"


def agreement_in_force(institution_id: UUID, *, at: datetime) -> Agreement | None:
    """Return the agreement that binds at that instant, by the days of its own zone; None when there is none.

    One that is suspended or under notice still binds; one that has ended or was superseded bound until it did, so that
    the past can be asked too.
    """
    binding = Agreement.objects.filter(institution_id=institution_id, status__in=BINDING).select_related("institution")
    for agreement in binding.order_by("-starts_on", "-version"):
        if covers(agreement, local_date(at, agreement.zone)):
            return agreement
    return None


def covers(agreement: Agreement, day: date) -> bool:
    """Tell whether a day lies in its term and before whatever cut it short."""
    end = agreement.covers_until
    return agreement.starts_on <= day and (end is None or day < end)


def binding_versions(agreement: Agreement) -> QuerySet[Agreement]:
    """The other versions of the same parties that bind or bound them, in the order of their days."""
    same = Agreement.objects.filter(institution_id=agreement.institution_id, issuer_id=agreement.issuer_id)
    return same.filter(status__in=BINDING).exclude(pk=agreement.pk).order_by("starts_on", "version")


def check_term(agreement: Agreement) -> None:
    """Raise Invalid for a term that ends before it begins, TermsOverlap for days that another version keeps.

    A version that is live and begins no later gives way: it ends when this one begins. Any other keeps its days.
    """
    if agreement.ends_on is not None and agreement.ends_on <= agreement.starts_on:
        raise Invalid(_("The last day must not come before the first day."), field="ends_on")
    for other in binding_versions(agreement):
        gives_way = other.status in LIVE and other.starts_on <= agreement.starts_on
        if not gives_way and _overlap(agreement, other):
            until = other.covers_until
            last = spoken_day(until - timedelta(days=1)) if until else _("without an end")
            raise TermsOverlap(
                _("Version %(version)d covers %(first)s to %(last)s. Choose other days for this one.")
                % {"version": other.version, "first": spoken_day(other.starts_on), "last": last},
                field="starts_on",
            )


def months_later(day: date, months: int) -> date:
    """Return the same day so many months later, or the last day of that month where it is shorter."""
    years, index = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in range(day.day, 27, -1):
        try:
            return date(years, index + 1, last)
        except ValueError:
            continue
    return date(years, index + 1, day.day)


def _overlap(one: Agreement, two: Agreement) -> bool:
    if two.covers_until == two.starts_on:
        return False
    starts_before_end = two.covers_until is None or one.starts_on < two.covers_until
    return starts_before_end and (one.covers_until is None or two.starts_on < one.covers_until)

"""Rows of a schedule about support, responsibilities, data protection and leaving, in the active language."""

from django.utils.translation import gettext as _

from consortium.kernel.language import bilingual
from members.schedule import Schedule

Row = tuple[str, str]


def severity_rows(schedule: Schedule, language: str) -> tuple[Row, ...]:
    """A row for each severity: how soon somebody answers, how often there is news."""
    rows = []
    for severity in schedule.service_level.severities:
        values = {"first": severity.response_hours, "news": severity.update_hours}
        if severity.around_the_clock:
            words = _("Answer within %(first)d hours, news every %(news)d hours, day and night") % values
        else:
            words = _("Answer within %(first)d business hours, news every %(news)d business hours") % values
        rows.append((bilingual(severity, "name", language), words))
    return tuple(rows)


def responsibility_rows(schedule: Schedule, language: str) -> tuple[Row, ...]:
    """The responsibilities matrix: a row for each task."""
    return tuple(
        (
            bilingual(each, "task", language),
            _("Consortium: %(consortium)s; member: %(member)s")
            % {"consortium": _role(each.consortium), "member": _role(each.member)},
        )
        for each in schedule.responsibilities
    )


def privacy_rows(schedule: Schedule, language: str) -> tuple[Row, ...]:
    """Where data lives, under which law, and who else processes it."""
    rows: list[Row] = []
    if data := schedule.data_protection:
        rows = [
            (_("Hubs and homes are kept in"), ", ".join(data.hub_regions)),
            (_("Backups are kept in"), ", ".join(data.backup_regions)),
            (_("Logs are kept in"), ", ".join(data.log_regions)),
            (_("Logs are deleted after"), days_text(data.log_days)),
            (_("A breach is told within"), _("%(count)d hours") % {"count": data.breach_notice_hours}),
        ]
        if data.law_en:
            rows.append((_("Public-sector privacy law"), bilingual(data, "law", language)))
    rows += [
        (
            _("Subprocessor %(name)s") % {"name": each.name},
            f"{bilingual(each, 'purpose', language)} ({each.region})",
        )
        for each in schedule.subprocessors
    ]
    return tuple(rows)


def exit_rows(schedule: Schedule, language: str) -> tuple[Row, ...]:  # noqa: ARG001 - as the other parts
    """How the two sides part."""
    if schedule.exit is None:
        return ()
    leaving = schedule.exit
    rows = [
        (_("Hubs stop after a last notice of"), days_text(leaving.shutdown_notice_days)),
        (_("Data can be taken away for"), days_text(leaving.export_days)),
        (_("Data is deleted, with a certificate, after"), days_text(leaving.deletion_days)),
    ]
    if leaving.formats:
        rows.append((_("Formats of what is taken away"), ", ".join(leaving.formats)))
    return tuple(rows)


def lapse_rows(schedule: Schedule, language: str) -> tuple[Row, ...]:  # noqa: ARG001 - as the other parts
    """What follows when invoices stay unpaid."""
    if schedule.lapse is None:
        return ()
    ladder = schedule.lapse
    return (
        (_("A notice may be given when an invoice is overdue for"), days_text(ladder.notice_days)),
        (_("Then no hub may be requested or changed, after"), days_text(ladder.read_only_days)),
        (_("Then hubs stop until it is paid, after"), days_text(ladder.suspended_days)),
        (_("Then hubs are exported and ended, after"), days_text(ladder.retired_days)),
    )


def days_text(count: int) -> str:
    """So many calendar days, in words."""
    return _("%(count)d days") % {"count": count}


def hours_text(count: int) -> str:
    """So many business hours, in words."""
    return _("%(count)d business hours") % {"count": count}


def _role(role: str) -> str:
    return {"leads": _("leads"), "helps": _("helps"), "informed": _("is told"), "none": _("has no part")}[role]

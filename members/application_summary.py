"""An application as people read it: its tasks with their progress, and its answers in parts."""

from dataclasses import dataclass
from typing import Any

from django.template.defaultfilters import linebreaksbr
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from consortium.kernel.formats import number_text
from members.answers import SECTIONS, Progress, Section, progress_of
from members.application_forms import ApplicationForm
from members.application_words import LABELS, SECTION_WORDS
from members.models import Application
from members.nominees import nominees_of
from members.queries import role_words


@dataclass(frozen=True, kw_only=True)
class Task:
    """A line of the task list."""

    label: str
    hint: str
    url: str
    status: str
    tone: str
    done: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A question with its answer, and where it can be changed ("" where it cannot)."""

    label: str
    value: SafeString | str
    url: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """The answers of one section."""

    section: Section
    title: str
    rows: list[Answer]


def tasks_of(application: Application) -> list[Task]:
    """Return the task list of an application, in the order of its sections."""
    words = {
        Progress.NOT_STARTED: (_("Not started"), "neutral"),
        Progress.IN_PROGRESS: (_("In progress"), "info"),
        Progress.DONE: (_("Done"), "success"),
    }
    tasks = []
    for section in SECTIONS:
        progress = progress_of(application, section)
        label, hint = SECTION_WORDS[section.key]
        url = reverse("application_section", args=[application.pk, section.key])
        status, tone = words[progress]
        tasks.append(
            Task(
                label=str(label),
                hint=str(hint),
                url=url,
                status=status,
                tone=tone,
                done=progress is Progress.DONE,
            )
        )
    return tasks


def parts_of(application: Application, *, change: bool = False) -> list[Part]:
    """Return every answer in parts; with `change`, each with a link to where it is changed."""
    form = ApplicationForm(instance=application)
    return [
        Part(
            section=section,
            title=str(SECTION_WORDS[section.key][0]),
            rows=[
                Answer(label=_label(name), value=_shown(application, form, name), url=_url(application, section, name))
                if change
                else Answer(label=_label(name), value=_shown(application, form, name), url="")
                for name in section.fields
            ],
        )
        for section in SECTIONS
    ]


def _label(name: str) -> str:
    return str(LABELS.get(name) or _("Who administers"))


def _url(application: Application, section: Section, name: str) -> str:
    page = reverse("application_section", args=[application.pk, section.key])
    target = {"administrators": "person_1_name", "sign_on": "sign_on_0"}.get(name, name)
    return f"{page}#id_{target}"


def _shown(application: Application, form: ApplicationForm, name: str) -> SafeString | str:
    value: Any = getattr(application, name)
    if name == "administrators":
        lines = [f"{each.name}, {each.email} ({role_words(each.role)})" for each in nominees_of(application)]
        return linebreaksbr("\n".join(lines))
    if isinstance(value, list):
        return linebreaksbr("\n".join(value))
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if isinstance(value, int):
        return number_text(value, language=get_language() or "en")
    choices = dict(getattr(form.fields[name], "choices", ()))
    return linebreaksbr(str(choices.get(value, value))) if value else ""

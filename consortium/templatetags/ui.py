"""The components of every screen, as template tags (a builtin of the templates: no {% load %} is needed there).

Blocks, with what they hold between the tags
    {% page_header title=_("Invoices") lead=… eyebrow=… %} buttons {% endpage_header %}   the page's only h1
    {% card title=… level=2 href=… note=… %} … {% endcard %}
    {% stats %}{% stat label=… value=… note=… tone=… href=… %}{% endstats %}              a row of figures
    {% data_table caption=… note=… %} <thead>… <tbody>… {% enddata_table %}            figures: class="num"
    {% notice tone="warning" title=… %} … {% endnotice %}
    {% empty_state title=… text=… %} a button {% endempty_state %}
    {% dialog id="void" title=… %} … {% enddialog %}                         a button's data-dialog-open="void" opens it

A tone is neutral, info, success, warning or danger.

Leaves
    {% status_badge _("Paid") tone="success" %}     shape and words, never colour alone
    {% colon %}                                     between two pieces of a sentence, as the language sets it
    {% icon "check" %}                              decoration: hidden from screen readers
    {% copyable value label=_("Invoice number") %}
    {% post_button url=… label=… tone="primary" %}  a form with its token and one button; never change state by a link
    {% form_errors form %}  {% field form.name hint=… autocomplete=… width="short" %}  {% form_fields form %}
    {% bar_chart chart %}                           a consortium.kernel.charts.Chart, beside its data table
    {% hub_map markers caption=… %}                 consortium.kernel.geography.Marker objects, with their table

Includes, documented at the top of each file in templates/components/ (gallery.html shows everything)
    breadcrumbs, timeline, task_list, summary_list, definition_list, progress, tabs, pagination

Formats, in the language of the page (the functions are in consortium.kernel.formats)
    {% money amount "CAD" %} {% money amount "CAD" code=True %} {{ amount|money:"CAD" }} {% instant at zone %}
    {{ day|day }} {{ day|month }} {{ value|number }} {{ value|number:2 }} {{ share|percent }} {{ seconds|duration }}
    {{ invoice.number|unbroken }}                                            never broken at its hyphens
    {{ day|day_words }} {{ moment|instant_words }} {{ total|money_words:currency }}   without markup: for mails
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from django import template
from django.forms import BaseForm
from django.forms.boundfield import BoundField
from django.template import Context
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from consortium.kernel import formats, geography, spoken
from consortium.kernel.charts import Chart
from consortium.kernel.money import exponent, scale
from consortium.templatetags import _fields
from consortium.templatetags._icons import TONES, tone_icon
from consortium.templatetags._icons import icon as icon_svg

register = template.Library()


def _language() -> str:
    return get_language() or "en"


def _component(name: str, values: dict[str, Any]) -> SafeString:
    return render_to_string(f"components/{name}.html", values)


# --- Blocks -----------------------------------------------------------------------------------------------------------


@register.simple_block_tag
def page_header(content: str, *, title: object, lead: object = "", eyebrow: object = "") -> SafeString:
    """Will write the header of a page: its one h1, with a lead, what it belongs to (eyebrow) and its actions."""
    values = {"title": title, "lead": lead, "eyebrow": eyebrow, "actions": SafeString(content.strip())}
    return _component("page_header", values)


@register.simple_block_tag
def card(
    content: str, *, title: object = "", level: int = 2, href: str = "", note: object = "", ident: str = ""
) -> SafeString:
    """Will write a section under a rule; `href` makes its title a link, `level` is the rank of its heading."""
    return _component(
        "card", {"content": content, "title": title, "level": level, "href": href, "note": note, "ident": ident}
    )


@register.simple_block_tag
def stats(content: str) -> SafeString:
    """Will write a row of figures: put {% stat %} tags inside."""
    return format_html('<dl class="stats">{}</dl>', content)


@register.simple_tag
def stat(*, label: object, value: object, note: object = "", tone: str = "", href: str = "") -> SafeString:
    """Will write one figure with its label, and a note such as "month to date"; `tone` adds a shape before the note."""
    return _component("stat", {"label": label, "value": value, "note": note, "tone": tone, "href": href})


@register.simple_block_tag
def data_table(content: str, *, caption: object, note: object = "", quiet: bool = False) -> SafeString:
    """Will write a table in a region that scrolls by itself; `quiet` hides the caption from sight alone."""
    return _component("data_table", {"content": content, "caption": caption, "note": note, "quiet": quiet})


@register.simple_block_tag
def notice(content: str, *, tone: str = "info", title: object = "", alert: bool = False) -> SafeString:
    """Will write a notice; `alert` announces it at once. Django's message levels are understood as tones."""
    known = _tone({"debug": "neutral", "error": "danger"}.get(tone, tone))
    return _component("notice", {"content": content, "tone": known, "title": title, "alert": alert})


@register.simple_block_tag
def empty_state(content: str, *, title: object, text: object = "") -> SafeString:
    """Will write what stands where there is nothing yet: what will be here, and the action that begins it."""
    return _component("empty_state", {"title": title, "text": text, "action": SafeString(content.strip())})


@register.simple_block_tag
def dialog(content: str, *, id: str, title: object) -> SafeString:  # noqa: A002 - reads as HTML's own attribute
    """Will write a native dialog; a button with data-dialog-open="<id>" opens it, data-dialog-close closes it."""
    return _component("dialog", {"content": content, "id": id, "title": title})


# --- Leaves -----------------------------------------------------------------------------------------------------------


def _tone(tone: str) -> str:
    return tone if tone in TONES else "neutral"


@register.simple_tag
def icon(name: str) -> SafeString:
    """Will write a decorative icon; a name that is not known fails, so that a typing error shows."""
    return icon_svg(name)


@register.simple_tag
def colon() -> str:
    """Will write a colon as the language sets it: in French after a space that does not break."""
    return "\N{NO-BREAK SPACE}:" if _language().startswith("fr") else ":"


@register.simple_tag
def status_badge(text: object, tone: str = "neutral") -> SafeString:
    """Will write a status in words with a shape of its tone: neutral, info, success, warning or danger."""
    known = _tone(tone)
    return format_html('<span class="badge-status tone-{}">{}<span>{}</span></span>', known, tone_icon(known), text)


@register.simple_tag
def tone_shape(tone: str) -> SafeString:
    """Will write the shape of a tone alone, for components that bring the words themselves."""
    return tone_icon(_tone(tone))


@register.filter
def in_words(value: object, words: str) -> bool:
    """Will say whether a value is one of several words: {{ state|in_words:"queued running" }}."""
    return str(value) in words.split()


@register.simple_tag
def copyable(value: object, label: object = "") -> SafeString:
    """Will write a value to copy (a TXT record, an invoice number) with its button; `label` names it to all."""
    return _component("copyable", {"value": value, "label": label})


@register.simple_tag(takes_context=True)
def post_button(
    context: Context, *, url: str, label: object, tone: str = "secondary", name: str = "", value: object = ""
) -> SafeString:
    """Will write a form of one button with the CSRF token; `tone` is primary, secondary, danger or quiet."""
    values = {"url": url, "label": label, "tone": tone, "name": name, "value": value}
    return _component("post_button", values | {"csrf_token": context.get("csrf_token")})


# --- Forms ------------------------------------------------------------------------------------------------------------


@register.simple_tag
def form_errors(form: BaseForm) -> SafeString:
    """Will write the error summary: focused, one link to each field at fault. Nothing for a form without errors."""
    problems = _fields.problems(form)
    return _component("form_errors", {"problems": problems}) if problems else SafeString("")


@register.simple_tag
def field(
    bound: BoundField, *, label: object = "", hint: object = "", autocomplete: str = "", width: str = "", rows: int = 0
) -> SafeString:
    """Will write a field: label, hint, error, input. `width`: "tiny", "short" or "" (full); `rows`: of a textarea."""
    attributes = {"autocomplete": autocomplete, "rows": str(rows or "")}
    return _component("field", _fields.view_of(bound, label=label, hint=hint, width=width, attributes=attributes))


@register.simple_tag
def form_fields(form: BaseForm) -> SafeString:
    """Will write every field of a form in its order, the hidden ones too."""
    hidden = SafeString("").join(str(bound) for bound in form.hidden_fields())
    return SafeString(hidden + "".join(field(bound) for bound in form.visible_fields()))


# --- Figures ----------------------------------------------------------------------------------------------------------


@register.simple_tag
def bar_chart(chart: Chart, table: bool = True) -> SafeString:
    """Will write a chart as SVG and, unless `table` is false because the page already has it, its data table."""
    return _component("chart", {"chart": chart, "with_table": table})


@register.simple_tag
def hub_map(markers: Sequence[geography.Marker], caption: object = "", note_heading: object = "") -> SafeString:
    """Will write the map of Canada with its markers as links, and the same places as a table."""
    language = _language()
    values = {
        "views": [
            geography.map_view(markers, width_px=geography.WIDE_PX, name="wide"),
            geography.map_view(markers, width_px=geography.NARROW_PX, name="narrow"),
        ],
        "land": geography.land(),
        "key": _map_key(markers),
        "rows": geography.by_province(markers, language=language),
        "caption": caption or _("Where the hubs are"),
        "note_heading": note_heading or _("Hub"),
    }
    return _component("map", values)


def _map_key(markers: Sequence[geography.Marker]) -> list[dict[str, object]]:
    counts = {kind: sum(marker.kind == kind for marker in markers) for kind in ("hub", "member", "applicant")}
    labels = {
        "hub": ngettext("runs a hub", "run a hub", counts["hub"]),
        "member": ngettext("member, no hub yet", "members, no hub yet", counts["member"]),
        "applicant": ngettext("applying", "applying", counts["applicant"]),
    }
    return [{"kind": kind, "count": count, "label": labels[kind]} for kind, count in counts.items() if count]


# --- Formats ----------------------------------------------------------------------------------------------------------


@register.simple_tag(name="money")
def money_tag(
    amount: Any, currency: str = "", *, code: bool = False, digits: int | None = None, exact: bool = False
) -> SafeString:
    """Will write an amount, or an object with .amount and .currency; None reads as a dash; `exact`: every decimal."""
    currency = currency or getattr(amount, "currency", "")
    amount = getattr(amount, "amount", amount)
    if amount is None or amount == "":
        return SafeString('<span class="money">–</span>')
    if exact:
        digits = max(scale(Decimal(amount)), exponent(str(currency)))
    text = formats.money_text(Decimal(amount), str(currency), language=_language(), code=code, digits=digits)
    return format_html('<span class="money">{}</span>', text)


@register.filter
def unbroken(text: object) -> SafeString:
    """Will write a number with hyphens (of an invoice, of an agreement) so that no line ends within it."""
    return format_html('<span class="nowrap">{}</span>', text)


@register.filter(name="money")
def money_filter(amount: Any, currency: str = "") -> SafeString:
    """Will write an amount in a currency: {{ line.total|money:line.currency }}."""
    return money_tag(amount, currency)


@register.filter
def money_words(amount: Decimal, currency: str) -> str:
    """Will write an amount with its ISO code, without markup: for mails."""
    return formats.money_text(amount, currency, language=_language(), code=True)


@register.simple_tag
def instant(moment: datetime | None, zone: tzinfo | str = "") -> SafeString:
    """Will write an instant in a zone, which is named; without one, Django's current zone. None reads as a dash."""
    if moment is None:
        return SafeString("–")
    text = formats.instant_text(moment, zone or get_current_timezone(), language=_language())
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(), text)


@register.filter
def day(value: date | None) -> SafeString:
    """Will write a calendar day; None reads as a dash."""
    if value is None:
        return SafeString("–")
    text = formats.day_text(value, language=_language())
    return format_html('<time datetime="{}">{}</time>', value.strftime("%Y-%m-%d"), text)


@register.filter
def day_words(value: date) -> str:
    """Will write a calendar day without markup: for mails, attributes and titles."""
    return spoken.spoken_day(value)


@register.filter
def instant_words(value: datetime) -> str:
    """Will write an instant in UTC, which is named, without markup: for mails."""
    return spoken.spoken_instant(value)


@register.filter
def month(value: date) -> SafeString:
    """Will write the month of a day, "November 2026"."""
    text = formats.month_text(value, language=_language())
    return format_html('<time datetime="{}">{}</time>', value.strftime("%Y-%m"), text)


@register.filter
def number(value: Decimal | int | float, digits: int | None = None) -> str:  # noqa: PYI041 - templates pass either
    """Will write a number with the language's separators; {{ hours|number:1 }} with one decimal."""
    exact = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    return formats.number_text(exact, language=_language(), digits=digits)


@register.filter
def percent(share: Decimal | float, digits: int = 1) -> str:
    """Will write a share of one as a percentage."""
    return formats.percent_text(share, language=_language(), digits=digits)


@register.filter
def duration(span: timedelta | float) -> str:
    """Will write a length of time; a number is seconds."""
    return formats.duration_text(span, language=_language())

"""What stands on an invoice, as text in the active language; the template only places it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import segno
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from billing.documents import words
from billing.snapshot import InvoiceSnapshot, LinePart, Part, SharePart, TaxPart
from consortium.kernel.charts import Bar, Chart, horizontal_bars
from consortium.kernel.money import EXACT


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A label and its value."""

    label: str
    value: str


@dataclass(frozen=True, kw_only=True)
class LineView:
    """One row of the lines."""

    description: str
    note: str
    quantity: str
    unit_price: str
    taxes: str
    net: str


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One step of an explanation: what, how it is reckoned, what comes out."""

    label: str
    reckoning: str
    result: str
    strong: bool = False


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """How one line came about."""

    title: str
    lead: str
    chart: Chart | None = None
    steps: tuple[StepView, ...]


@dataclass(frozen=True, kw_only=True)
class Party:
    """A name, and the lines below it."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class InvoicePage:
    """All of an invoice, as text."""

    language: str
    number: str
    currency: str
    created: datetime
    month: str
    total: str
    due_on: str
    facts: tuple[Fact, ...]
    issuer: Party
    payer: Party
    registrations: tuple[Fact, ...]
    lines: tuple[LineView, ...]
    net_total: str
    taxes: tuple[Fact, ...]
    bank: tuple[Fact, ...]
    pay_url: str
    qr: SafeString
    chart: Chart | None
    explanations: tuple[Explanation, ...]
    reasons: tuple[str, ...]


def invoice_page(snapshot: InvoiceSnapshot, pay_url: str = "") -> InvoicePage:
    """Will write out a snapshot in the active language, for the PDF and for pages alike.

    `pay_url` is where it can be paid without an account; without one there is no code to scan.
    """
    return InvoicePage(
        language=words.language(),
        number=snapshot.number,
        currency=snapshot.currency,
        created=snapshot.issued_at,
        month=words.month(snapshot.month),
        total=words.money(snapshot.total, snapshot.currency),
        due_on=words.day(snapshot.due_on),
        facts=tuple(_facts(snapshot)),
        issuer=issuer_of(snapshot),
        payer=payer_of(snapshot),
        registrations=registrations_of(snapshot),
        lines=tuple(_line(line, snapshot.currency) for line in snapshot.lines),
        net_total=words.figure(snapshot.net_total, snapshot.currency),
        taxes=tuple(_tax(tax, snapshot.currency) for tax in snapshot.taxes if tax.amount or tax.rate),
        bank=tuple(_bank(snapshot)),
        pay_url=pay_url,
        qr=_qr(pay_url) if pay_url else SafeString(),
        chart=what_it_is_for(snapshot),
        explanations=explanations_of(snapshot),
        reasons=tuple(dict.fromkeys(_word(tax, "reason") for tax in snapshot.taxes)),
    )


def issuer_of(snapshot: InvoiceSnapshot) -> Party:
    """Who invoices."""
    issuer = snapshot.issuer
    return Party(name=_word(issuer, "name"), lines=(*issuer.address.splitlines(), issuer.email))


def payer_of(snapshot: InvoiceSnapshot) -> Party:
    """Who pays."""
    payer, lines = snapshot.payer, []
    institution = _word(payer, "institution")
    if institution and institution != payer.name:
        lines.append(institution)
    lines += payer.address.splitlines()
    if payer.cost_centre:
        lines.append(_("Cost centre: %(centre)s") % {"centre": payer.cost_centre})
    return Party(name=payer.name, lines=tuple(lines))


def registrations_of(snapshot: InvoiceSnapshot) -> tuple[Fact, ...]:
    """The issuer's registration numbers for the taxes on the invoice, each once."""
    held = {words.tax_name(tax.tax): tax.registration for tax in snapshot.taxes if tax.registration}
    return tuple(Fact(label=name, value=number) for name, number in held.items())


def what_it_is_for(snapshot: InvoiceSnapshot) -> Chart | None:
    """The lines as bars; None where a credit would need a bar below zero, or where there is only one line."""
    if len(snapshot.lines) < 2 or any(line.net < 0 for line in snapshot.lines):
        return None
    bars = [
        Bar(label=_word(line, "description"), value=line.net, text=words.money(line.net, snapshot.currency))
        for line in snapshot.lines
    ]
    return horizontal_bars(
        title=_("What the amount is made of"),
        description=_("One bar for each line of invoice %(number)s, before tax.") % {"number": snapshot.number},
        label_heading=_("Line"),
        value_heading=_("Amount before tax"),
        bars=bars,
    )


def explanations_of(snapshot: InvoiceSnapshot) -> tuple[Explanation, ...]:
    """How each line came about, where there is more to say than quantity times price."""
    return tuple(found for line in snapshot.lines if (found := _explained(line, snapshot.currency)))


def explanation_of(snapshot: InvoiceSnapshot, position: int) -> Explanation | None:
    """How one line came about, by its position; None where it is quantity times price, or there is no such line."""
    line = next((line for line in snapshot.lines if line.position == position), None)
    return _explained(line, snapshot.currency) if line is not None else None


def _explained(line: LinePart, currency: str) -> Explanation | None:
    title = _word(line, "description")
    if line.share is not None:
        chart, steps = _part_of_pool(line.share), tuple(_share(line.share))
        return Explanation(title=title, lead=_share_lead(line.share), chart=chart, steps=steps)
    if not line.steps:
        return None
    steps = tuple(
        StepView(
            label=_word(step, "label"),
            reckoning=_times(step.quantity, step.unit, step.unit_price, currency),
            result=words.figure(step.amount, currency, exact=True),
        )
        for step in line.steps
    )
    return Explanation(title=title, lead="", steps=steps)


def _share_lead(share: SharePart) -> str:
    facts = {
        "members": share.members,
        "basis": words.basis(share.basis),
        "method": words.method(share.method),
        "month": words.month(share.basis_month),
    }
    if not share.basis:
        return _("%(members)s members share this cost %(method)s.") % facts
    return _("%(members)s members share this cost %(method)s, measured as %(basis)s in %(month)s.") % facts


def _part_of_pool(share: SharePart) -> Chart | None:
    """The member's share beside what the others bear; None for a credit, which has no length."""
    others = EXACT.subtract(share.rounded_total, share.amount)
    if share.amount < 0 or others < 0:
        return None
    parts = ((_("Your share"), share.amount), (_("All other members together"), others))
    return horizontal_bars(
        title=_("Your part of the pool"),
        description=_("Of %(total)s.") % {"total": words.money(share.rounded_total, share.currency)},
        label_heading=_("Who"),
        value_heading=_("Amount before tax"),
        bars=[
            Bar(
                label=label,
                value=amount,
                text=f"{words.money(amount, share.currency)} · {words.share(amount, share.rounded_total)}",
            )
            for label, amount in parts
        ],
    )


def _share(share: SharePart) -> Iterator[StepView]:
    """The way from the provider's bill to the share."""
    yield StepView(
        label=_("Shared cost on the provider's bill of %(month)s") % {"month": words.month(share.bill_month)},
        reckoning=_("sum of the rows, every decimal kept"),
        result=words.money(share.exact_total, share.bill_currency, exact=True),
    )
    if share.fx_rate is not None:
        source = share.fx_source if share.fx_on is None else f"{share.fx_source}, {words.day(share.fx_on)}"
        yield StepView(
            label=_("Converted once and rounded to the cent"),
            reckoning=_("1 %(base)s = %(rate)s %(quote)s (%(source)s)")
            % {
                "base": share.bill_currency,
                "rate": words.number(share.fx_rate),
                "quote": share.currency,
                "source": source,
            },
            result=words.money(share.rounded_total, share.currency),
        )
    else:
        yield StepView(
            label=_("Rounded once to the cent"), reckoning="", result=words.money(share.rounded_total, share.currency)
        )
    yield StepView(
        label=_("Your part of all members' %(basis)s") % {"basis": words.basis(share.basis)}
        if share.basis
        else _("Your part of the weights"),
        reckoning=_("%(weight)s of %(total)s")
        % {"weight": words.number(share.weight), "total": words.number(share.total_weight)},
        result=words.share(share.weight, share.total_weight),
    )
    yield StepView(
        label=_("Your share"),
        reckoning=_("cents left over by rounding go to the largest remainders"),
        result=words.money(share.amount, share.currency),
        strong=True,
    )


def _facts(snapshot: InvoiceSnapshot) -> Iterator[Fact]:
    yield Fact(label=_("Invoice date"), value=words.day(snapshot.issued_on))
    yield Fact(label=_("Service month"), value=words.month(snapshot.month))
    yield Fact(label=_("Purchase order"), value=snapshot.po_number or _("none"))


def _line(line: LinePart, currency: str) -> LineView:
    note = ""
    if line.fx_rate is not None and line.share is None:
        note = _("Converted at 1 %(base)s = %(rate)s %(quote)s (%(source)s)") % {
            "base": line.fx_currency,
            "rate": words.number(line.fx_rate),
            "quote": currency,
            "source": words.rate_source(line.fx_source),
        }
    taxes = [words.tax_name(tax.tax) for tax in line.taxes if tax.rate]
    return LineView(
        description=_word(line, "description"),
        note=note,
        quantity=words.quantity(line.quantity, line.unit),
        unit_price=words.figure(line.unit_price, currency, exact=True),
        taxes=" + ".join(taxes) or "–",
        net=words.figure(line.net, currency),
    )


def _tax(tax: TaxPart, currency: str) -> Fact:
    label = _("%(tax)s %(rate)s on %(basis)s") % {
        "tax": words.tax_name(tax.tax),
        "rate": words.percent(tax.rate),
        "basis": words.figure(tax.basis, currency),
    }
    return Fact(label=label, value=words.figure(tax.amount, currency))


def _bank(snapshot: InvoiceSnapshot) -> Iterator[Fact]:
    if snapshot.bank is None:
        return
    yield Fact(label=_("Payee"), value=snapshot.bank.holder)
    yield Fact(label=_("Bank"), value=snapshot.bank.bank)
    yield Fact(label=_("Account"), value=snapshot.bank.account_number)
    yield Fact(label=_("Routing"), value=snapshot.bank.routing)
    yield Fact(label=_("Currency"), value=snapshot.bank.currency)
    yield Fact(label=_("Reference"), value=snapshot.number)


def _times(quantity: Decimal | None, unit: str, unit_price: Decimal | None, currency: str) -> str:
    """Quantity times price, in words."""
    if quantity is None or unit_price is None:
        return ""
    amount = words.figure(unit_price, currency, exact=True)
    return f"{words.quantity(quantity, unit)} × {amount}"


def _qr(url: str) -> SafeString:
    """The pay link to point a telephone at."""
    drawn = segno.make(url, error="m").svg_inline(scale=1, border=0, dark="#16211f", omitsize=True)
    titled = drawn.replace("><path", "><title>QR</title><path", 1)
    return mark_safe(titled)  # noqa: S308 - drawn by segno from our own address


def _word(part: Part, field: str) -> str:
    return part.word(field, words.language())

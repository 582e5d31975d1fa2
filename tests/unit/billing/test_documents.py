"""The PDFs of money: right, complete, tagged, in two languages, and deaf to whatever a name tries to fetch."""

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from django.core.files.storage import default_storage
from pypdf import PdfReader
from weasyprint.urls import URLFetcher

from billing.documents import (
    SHEET,
    NotPaidError,
    invoice_document,
    invoice_pdf,
    receipt_pdf,
    render_invoice,
    render_receipt,
)
from billing.models import Invoice, PayLink, Payment
from billing.snapshot import InvoiceSnapshot, SnapshotError
from consortium.kernel.documents import read
from consortium.kernel.pdf import write_pdf
from consortium.kernel.tenancy import institution_scope
from consortium.models import Document
from tests.cast import Cast
from tests.unit.billing.issued import PAYER, lines, make_invoice, snapshot

URL = "http://127.0.0.1:8000/en/pay/" + "k" * 43 + "/"


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_storage, "location", str(tmp_path))


def text_of(pdf: bytes) -> str:
    """All words of a PDF, blanks made plain."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]
    return " ".join(" ".join(pages).split())


def paid(invoice: InvoiceSnapshot, **changes: Any) -> Payment:
    """A payment that arrived, not stored."""
    values: dict[str, Any] = {
        "amount": invoice.total,
        "currency": invoice.currency,
        "status": "succeeded",
        "provider": "stripe",
        "method": "card",
        "intent_id": "pi_123",
        "created_at": datetime(2026, 10, 20, 18, tzinfo=UTC),
        "succeeded_at": datetime(2026, 10, 20, 18, tzinfo=UTC),
    }
    return Payment(**values | changes)


def test_the_english_invoice_says_who_how_much_by_when_and_why() -> None:
    text = text_of(invoice_pdf(snapshot(), URL))
    for words in (
        "ICC-2026-0007", "Cedar University, Accounts Payable", "Interactive Computing Consortium", "2,367.90 CAD",
        "1 November 2026", "PO-88121", "000 123 456 789", "12345 6789 RT0001", "GST 5% on 2,255.15", "112.75",
        "1,204.77921934992 USD", "1.3905", "15,288.75 of 119,974.5", "10 users × 10.00", "Page 1 / 2",
    ):  # fmt: skip
        assert words in text, words


def test_the_french_invoice_has_french_figures_and_names() -> None:
    text = text_of(invoice_pdf(snapshot(language="fr"), URL))
    for words in ("2 367,90 CAD", "TPS 5 %", "Consortium de calcul interactif", "Utilisateurs actifs du mois"):
        assert words in text, words


def test_the_pdf_is_tagged_pdf_a_with_its_language_title_and_own_fonts() -> None:
    content = invoice_pdf(snapshot(language="fr"), URL)
    with pikepdf.open(io.BytesIO(content)) as pdf:
        with pdf.open_metadata() as metadata:
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"].upper()) == ("3", "A")
        assert bool(pdf.Root.MarkInfo.Marked)
        assert str(pdf.Root.Lang).startswith("fr")
        assert "/StructTreeRoot" in pdf.Root
        fonts = {str(obj.BaseFont) for obj in pdf.objects if _is_font(obj)}
    assert fonts
    assert all("Source" in name for name in fonts), fonts
    assert PdfReader(io.BytesIO(content)).metadata.title.endswith("ICC-2026-0007")  # type: ignore[union-attr]


def _is_font(obj: object) -> bool:
    return isinstance(obj, pikepdf.Dictionary) and obj.get("/Type") == "/Font" and "/BaseFont" in obj


def test_the_pay_link_is_on_the_invoice() -> None:
    reader = PdfReader(io.BytesIO(invoice_pdf(snapshot(), URL)))
    links = [note.get_object()["/A"]["/URI"] for page in reader.pages for note in page.get("/Annots", [])]
    assert URL in links


@pytest.mark.parametrize("demo", [True, False])
def test_the_demonstration_says_on_each_page_that_it_is_one(settings: Any, demo: bool) -> None:
    settings.DEMO = demo
    assert text_of(invoice_pdf(snapshot(), URL)).count("Demonstration data") == (2 if demo else 0)


def test_a_receipt_names_amount_day_way_and_invoice() -> None:
    text = text_of(receipt_pdf(snapshot(), paid(snapshot())))
    for words in ("Receipt", "2,367.90 CAD", "20 Oct 2026, 11:00 PDT", "Card", "pi_123", "ICC-2026-0007", "PO-88121"):
        assert words in text, words


HOSTILE = (
    '<img src="http://127.0.0.1:1/a.png">',
    '<link rel="stylesheet" href="http://127.0.0.1:1/a.css">',
    '<link rel="attachment" href="file:///etc/passwd">',
    "<style>@import url(http://127.0.0.1:1/b.css); *{background:url(file:///etc/passwd)}</style>",
    '<object data="file:///etc/passwd"></object>',
    '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    '<svg><use href="http://127.0.0.1:1/x.svg#a"/></svg>',
    "<iframe src='file:///etc/passwd'></iframe>",
    "</title><script>fetch('http://127.0.0.1:1')</script>",
    "{% include '/etc/passwd' %}{{ settings.SECRET_KEY }}",
    "<base href='http://127.0.0.1:1/'>",
    "&lt;img src=x&gt;",
    "<div>" * 400,
)


@contextmanager
def no_doors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Count every attempt to open a connection or to fetch anything for the HTML."""
    tried: list[str] = []

    def refuse(self: URLFetcher, url: str, headers: object = None) -> None:
        tried.append(url)
        raise ValueError(url)

    write_pdf("<p>fonts first</p>", sheet=SHEET)
    monkeypatch.setattr(URLFetcher, "fetch", refuse)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: tried.append("a connection"))
    yield tried


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_printed_as_it_is_and_fetches_nothing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    payer = PAYER.model_copy(update={"name": text, "address": text, "cost_centre": text, "institution_en": text})
    line = lines()[0].model_copy(update={"description_en": text})
    frozen = snapshot(payer=payer, lines=(line,), po_number=text[:60], issuer=snapshot().issuer)
    with no_doors(monkeypatch) as tried:
        content = invoice_pdf(frozen, URL)
    assert tried == []
    assert text[:20].replace(" ", "") in text_of(content).replace(" ", "")


def test_html_of_a_template_gone_wrong_fetches_nothing_either() -> None:
    html = '<p>x</p><img src="file:///etc/passwd"><link rel="stylesheet" href="file:///etc/hostname">'
    with pikepdf.open(io.BytesIO(write_pdf(html, sheet=SHEET))) as pdf:
        assert not pdf.pages[0].get_images()


def test_an_invoice_is_written_once_with_one_link(cast: Cast, at: datetime) -> None:
    invoice = make_invoice(cast)
    with institution_scope(invoice.institution_id):
        assert invoice_document(invoice) is None
        first = render_invoice(invoice, at=at)
        second = render_invoice(invoice, at=at)
        assert (first.pk, PayLink.objects.count()) == (second.pk, 1)
        assert read(first).startswith(b"%PDF-")
        assert (first.name, first.media_type) == ("Invoice-ICC-2026-0007.pdf", "application/pdf")


def test_there_is_no_receipt_for_money_that_has_not_arrived(cast: Cast, at: datetime) -> None:
    invoice = make_invoice(cast)
    with institution_scope(invoice.institution_id):
        payment = Payment.objects.create(
            institution_id=invoice.institution_id, invoice=invoice, provider="stripe", amount=Decimal(1),
            currency="CAD", idempotency_key="k", created_at=at,
        )  # fmt: skip
        with pytest.raises(NotPaidError):
            render_receipt(payment, at=at)
        assert not Document.objects.exists()


def test_a_snapshot_survives_its_column_to_the_digit(cast: Cast) -> None:
    invoice = make_invoice(cast)
    with institution_scope(invoice.institution_id):
        again = InvoiceSnapshot.from_json(Invoice.objects.get(pk=invoice.pk).snapshot)
    assert again == snapshot()
    assert str(again.lines[2].share and again.lines[2].share.exact_total) == "1204.77921934992"


def test_figures_that_do_not_add_up_are_never_printed() -> None:
    with pytest.raises(SnapshotError, match="its totals say"):
        snapshot(total=Decimal("1.00"))

"""What members and staff see around invoices: documents that agree, orders, statement, the billing run, credits."""

import io
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pikepdf
import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from lxml import etree
from psycopg.types.range import DateRange
from pypdf import PdfReader

from billing.crediting import issue_credit_note, left_of
from billing.documents import render_invoice
from billing.documents.credit_notes import render_credit_note
from billing.documents.electronic import EInvoiceInvalid
from billing.documents.kept import electronic_document
from billing.models import BillingAccount, BillingPeriod, BillingRun, CreditNote, Invoice, PurchaseOrder, TaxCertificate
from consortium.kernel import jobs, outbox
from consortium.kernel.documents import read
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import Document, Job, OutgoingMail
from consortium.usecases import billing_run, close_period
from tests.cast import Cast
from tests.integration.billing.stories import (
    MONTH,
    RUN,
    STORY_ROWS,
    bill_file,
    drafted,
    issued,
    set_up,
    take_in,
    three_to_one,
)

UBL = {"cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"}


@pytest.fixture(autouse=True)
def own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_storage, "location", str(tmp_path / "files"))
    monkeypatch.setattr(settings, "SECURE_SSL_REDIRECT", False)


@pytest.fixture
def period(cast: Cast, at: datetime, tmp_path: Path) -> BillingPeriod:
    with consortium_scope(Scope.JOB):
        period = set_up(cast, at)
        take_in(bill_file(tmp_path, *STORY_ROWS), cast, at)
        return period


def sent(cast: Cast, period: BillingPeriod, at: datetime) -> Invoice:
    """Maple's invoice, issued and rendered."""
    with consortium_scope(Scope.JOB):
        _, maple = issued(drafted(period, three_to_one(cast), at), at)
        render_invoice(maple, at=at)
        return maple


def text_of(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


def client_of(user: object) -> Client:
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    client = Client(headers={"host": "localhost"})
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")  # type: ignore[arg-type]
    return client


# --- Documents ------------------------------------------------------------------------------------------------------


def test_pdf_xml_and_page_of_a_quebec_invoice_show_the_same_totals_and_claim_no_en_16931(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    invoice = sent(cast, period, at)
    page = client_of(cast.outsider).get(reverse("invoice", args=["maple", invoice.pk]))
    with institution_scope(invoice.institution_id):
        ubl, facturx = electronic_document(invoice, "ubl"), electronic_document(invoice, "facturx")
        pdf = read(Document.objects.get(kind="invoice"))
        assert ubl is not None
        assert facturx is None
        root = etree.fromstring(read(ubl))
    words, shown = text_of(pdf), page.content.decode().replace("\N{NO-BREAK SPACE}", " ")
    for figure in ("685.88", "34.29", "68.42", "788.59"):
        assert figure in words, figure
        assert figure in shown, figure
        assert figure in root.xpath("//cbc:*/text()", namespaces=UBL), figure
    assert b"16931" not in read_all(root)
    assert not PdfReader(io.BytesIO(pdf)).attachments
    assert reverse("invoice_xml", args=["maple", invoice.pk, "ubl"]) in shown


def read_all(root: etree._Element) -> bytes:
    found: bytes = etree.tostring(root)
    return found


def european(cast: Cast) -> None:
    """Maple moves to Lyon, with a VAT number that its register confirmed."""
    account = BillingAccount.objects.get(institution=cast.other_university)
    BillingAccount.objects.filter(pk=account.pk).update(country="FR", province="", language="both")
    TaxCertificate.objects.create(
        institution_id=account.institution_id, billing_account=account, kind="vat_number", number="FR83404833048",
        source="VIES, 1 September 2026", valid=DateRange(date(2026, 9, 1), None),
    )  # fmt: skip


def test_a_european_invoice_carries_its_stored_xml_and_is_still_pdf_a_with_tags(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    with consortium_scope(Scope.JOB):
        european(cast)
    invoice = sent(cast, period, at)
    assert (invoice.tax_total, invoice.snapshot["taxes"][0]["reason"]) == (Decimal("0.00"), "reverse_charge")
    with institution_scope(invoice.institution_id):
        facturx, pdf = electronic_document(invoice, "facturx"), read(Document.objects.get(kind="invoice"))
        assert facturx is not None
        assert PdfReader(io.BytesIO(pdf)).attachments["factur-x.xml"] == [read(facturx)]
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert len(document.Root.AF) == 1
        assert document.Root.AF[0].AFRelationship == "/Alternative"
        assert "/StructTreeRoot" in document.Root
        with document.open_metadata() as metadata:
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"].upper()) == ("3", "A")
            level = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}ConformanceLevel"
            assert metadata[level] == "EN 16931"
        assert bytes(document.Root.Metadata.read_bytes()).count(b"<rdf:RDF") == 1
    words = text_of(pdf)
    assert "Reverse charge" in words
    assert "Autoliquidation" in words
    assert "685.88" in words
    assert "685,88" in words
    mails = _delivered(at)
    assert mails[invoice.snapshot["payer"]["email"]].language == "en"


def _delivered(at: datetime) -> dict[str, OutgoingMail]:
    outbox.deliver_due(at=at)
    with consortium_scope(Scope.JOB):
        return {mail.recipient: mail for mail in OutgoingMail.objects.all()}


def test_an_electronic_invoice_that_breaks_a_rule_is_neither_kept_nor_sent(
    cast: Cast, period: BillingPeriod, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with consortium_scope(Scope.JOB):
        european(cast)
        _, maple = issued(drafted(period, three_to_one(cast), at), at)
    broken = b"<Invoice xmlns='urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'/>"
    monkeypatch.setattr("billing.documents.kept.ubl_xml", lambda *_, **__: broken)
    with institution_scope(maple.institution_id), pytest.raises(EInvoiceInvalid):
        render_invoice(maple, at=at)
    mails = _delivered(at)
    assert maple.snapshot["payer"]["email"] not in mails
    with consortium_scope(Scope.JOB):
        assert not Document.objects.filter(subject_id=str(maple.pk)).exists()


def test_a_credit_note_has_its_documents_and_its_mail(cast: Cast, period: BillingPeriod, at: datetime) -> None:
    invoice = sent(cast, period, at)
    with consortium_scope(Scope.JOB):
        note = issue_credit_note(invoice, nets=left_of(invoice), reason="Billed twice.", by=RUN, at=at)
        words = text_of(read(render_credit_note(note, at=at)))
        ubl = electronic_document(note, "ubl")
        assert ubl is not None
        assert b"CreditNoteTypeCode>381" in read(ubl)
    for figure in ("788.59", "68.42", "ICC-CN-2026-000001", invoice.number or "", "Billed twice."):
        assert figure in words, figure
    _delivered(at)
    with consortium_scope(Scope.JOB):
        mail = OutgoingMail.objects.get(template="billing_credit_note")
        assert mail.subject == f"Credit note {note.number} on invoice {invoice.number}"
    client = client_of(cast.outsider)
    page = client.get(reverse("invoice", args=["maple", invoice.pk]))
    assert note.number in page.content.decode()
    assert client.get(reverse("credit_note_pdf", args=["maple", note.pk])).content.startswith(b"%PDF")
    assert client.get(reverse("credit_note_xml", args=["maple", note.pk, "ubl"])).content == _bytes(ubl)
    assert client.get(reverse("credit_note_xml", args=["maple", note.pk, "facturx"])).status_code == 404
    assert client_of(cast.owner).get(reverse("credit_note_pdf", args=["cedar", note.pk])).status_code == 404


def _bytes(document: Document) -> bytes:
    with consortium_scope(Scope.JOB):
        return read(document)


# --- The member's pages ---------------------------------------------------------------------------------------------


def test_finance_people_record_an_order_and_mistakes_keep_what_was_typed(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    client, page = client_of(cast.finance), reverse("purchase_orders", args=["cedar"])
    assert "No purchase orders yet" in client.get(page).content.decode()
    with institution_scope(cast.university.pk):
        account = BillingAccount.objects.get()
    wanted = {
        "account": str(account.pk), "number": "PO 4711", "first_day": "2026-07-01", "last_day": "2027-06-30",
        "description": "Hubs", "amount": "12,000", "description_2": "Events", "amount_2": "",
    }  # fmt: skip
    wrong = client.post(page, wanted)
    shown = wrong.content.decode()
    assert wrong.status_code == 422
    assert "PO 4711" in shown
    assert "Enter the amount of this line." in shown
    assert "is not an amount" in shown
    right = client.post(page, wanted | {"amount": "12000.00", "amount_2": "500"}, follow=True)
    assert "Purchase order PO 4711 is recorded." in right.content.decode()
    with institution_scope(cast.university.pk):
        order = PurchaseOrder.objects.get()
        assert (order.amount, order.lines.count(), order.recorded_by) == (Decimal("12500.00"), 2, cast.finance)
    closed = client.post(reverse("purchase_order_close", args=["cedar", order.pk]), follow=True)
    assert "Purchase order PO 4711 is closed." in closed.content.decode()
    assert client_of(cast.viewer).get(page).status_code == 403


def test_the_statement_and_the_vendor_pack_open_in_both_languages(
    cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    sent(cast, period, at)
    client = client_of(cast.outsider)
    page = client.get(reverse("statement", args=["maple"]) + "?first_day=2026-01-01&last_day=2026-12-31")
    assert "788.59" in page.content.decode()
    assert client.get(reverse("statement", args=["maple"]) + "?first_day=nonsense").status_code == 200
    pdf = client.get(reverse("statement_pdf", args=["maple"]) + "?first_day=2026-01-01&last_day=2026-12-31").content
    assert "788.59" in text_of(pdf)
    csv = client.get(
        reverse("statement_csv", args=["maple"]) + "?first_day=2026-01-01&last_day=2026-12-31"
    ).content.decode()
    assert '"invoice","Services of September 2026","788.59","0","788.59","CAD"' in csv
    pack = text_of(client.get(reverse("vendor_pack", args=["maple", "icc"])).content)
    for words in ("123456789 RT0001", "1234567890 TQ0001", "Example Bank", "0001234"):
        assert words in pack, words
    french = reverse("vendor_pack", args=["maple", "icc"]).replace("/en/", "/fr/")
    assert "Dossier du fournisseur" in text_of(client.get(french).content)
    assert client.get(reverse("vendor_pack", args=["maple", "nobody"])).status_code == 404


# --- The billing run ------------------------------------------------------------------------------------------------


@pytest.fixture
def staff(cast: Cast, period: BillingPeriod, at: datetime, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A browser of finance staff; agreements and meters say the story."""
    for module in (billing_run, close_period):
        monkeypatch.setattr(module, "member_facts", lambda *_, **__: three_to_one(cast))
    for module_name in ("consortium.admin.billing_run", "consortium.usecases.close_period", "billing.admin_invoicing"):
        monkeypatch.setattr(f"{module_name}.now", lambda: at)
    monkeypatch.setattr(close_period, "roll_recent", lambda at: None)
    monkeypatch.setattr(jobs, "_hint", [])
    return client_of(cast.staff)


def page_of(client: Client, name: str = "billing_run") -> str:
    return client.get(reverse(f"admin:{name}", args=["icc", MONTH])).content.decode().replace("\N{NO-BREAK SPACE}", " ")


def test_the_page_of_a_month_shows_preview_drafts_and_result(staff: Client, cast: Cast, at: datetime) -> None:
    before = page_of(staff)
    assert "Nothing is missing" in before
    assert "2,602.57 CAD" in before
    assert "3,391.16 CAD" in before
    staff.post(reverse("admin:billing_run_prepare", args=["icc", MONTH]))
    assert "Preparing the drafts" in page_of(staff)
    with consortium_scope(Scope.JOB):
        job = Job.objects.get()
        assert job.arguments["go_on"] is False
        close_period.prepare_period(BillingPeriod.objects.get().pk, by=cast.staff, early=False, at=at)
        _end_jobs()
    assert "2 invoices, 3391.16 CAD" in page_of(staff)
    approve = reverse("admin:billing_run_approve", args=["icc", MONTH])
    wrong = staff.post(approve, {"total": "3391.17"})
    assert wrong.status_code == 422
    assert "3391.17" in wrong.content.decode()
    assert staff.post(approve, {"total": "3391.16 CAD"}).status_code == 302
    with consortium_scope(Scope.JOB):
        run = BillingRun.objects.get()
        assert (run.status, run.approved_by) == ("approved", cast.staff)
        close_period.issue_run(run, by=cast.staff, approver=cast.staff, at=at)
        _end_jobs()
    after = page_of(staff)
    assert "ICC-2026-000001" in after
    assert "the month is closed" in after
    link = reverse("admin:billing_billingrun_change", args=[run.pk])
    assert link in staff.get(reverse("admin:billing_billingrun_changelist")).content.decode()
    assert staff.get(link)["Location"] == reverse("admin:billing_run", args=["icc", MONTH])


def _end_jobs() -> None:
    Job.objects.filter(state="queued").update(state="running")
    Job.objects.filter(state="running").update(state="succeeded")


def test_a_job_that_stopped_is_resumed_from_its_page(staff: Client, cast: Cast) -> None:
    staff.post(reverse("admin:billing_run_prepare", args=["icc", MONTH]))
    with consortium_scope(Scope.JOB):
        Job.objects.update(state="running")
        Job.objects.update(state="needs_operator", error="The rate is missing.")
    shown = page_of(staff)
    assert "The rate is missing." in shown
    assert "Resume from the failed step" in shown
    staff.post(reverse("admin:billing_run_resume", args=["icc", MONTH]))
    with consortium_scope(Scope.JOB):
        assert Job.objects.get().state == "queued"


def test_only_finance_staff_act_and_get_changes_nothing(staff: Client, cast: Cast) -> None:
    for name in ("prepare", "approve", "withdraw", "resume"):
        assert staff.get(reverse(f"admin:billing_run_{name}", args=["icc", MONTH])).status_code == 403
    assert client_of(cast.owner).get(reverse("admin:billing_run", args=["icc", MONTH])).status_code in {302, 403}
    assert staff.get(reverse("admin:billing_run", args=["icc", "2026-13"])).status_code == 404
    with consortium_scope(Scope.JOB):
        assert not BillingRun.objects.exists()
        assert not Job.objects.exists()
    assert "2026-09" in staff.get(reverse("admin:billing_billingrun_changelist")).content.decode()


def test_staff_credit_an_invoice_after_a_preview_and_the_typed_total(
    staff: Client, cast: Cast, period: BillingPeriod, at: datetime
) -> None:
    invoice = sent(cast, period, at)
    page = reverse("admin:billing_credit", args=[invoice.pk])
    assert "At most 463.01" in staff.get(page).content.decode()
    wanted = {"reason": "The dues were wrong.", "line_1": "100.00"}
    preview = staff.post(page, wanted).content.decode()
    assert "114.98" in preview
    assert not _notes()
    assert staff.post(page, wanted | {"total": "114.97"}).status_code == 422
    assert staff.post(page, wanted | {"line_1": "463.02", "total": "1"}).status_code == 422
    assert not _notes()
    assert staff.post(page, wanted | {"total": "114.98"}).status_code == 302
    (note,) = _notes()
    assert (note.total, note.prepared_by) == (Decimal("114.98"), cast.staff)


def _notes() -> list[CreditNote]:
    with consortium_scope(Scope.JOB):
        return list(CreditNote.objects.select_related("prepared_by"))


def test_every_new_staff_page_opens(staff: Client) -> None:
    for name in [
        "billingrun",
        "creditnote",
        "purchaseorder",
        "membercharge",
        "prepaid",
        "prepaiduse",
        "taxcertificate",
    ]:
        assert staff.get(reverse(f"admin:billing_{name}_changelist")).status_code == 200, name
    for name in ("membercharge", "prepaid", "taxcertificate"):
        assert staff.get(reverse(f"admin:billing_{name}_add")).status_code == 200, name
    assert staff.post(reverse("admin:billing_prepaid_add"), {"amount": "x"}).status_code == 422

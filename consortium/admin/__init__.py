"""Staff pages over the kernel's tables: the audit trail, jobs, the outbox, mail, documents. All read-only but retry."""

from typing import Any

from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.admin_deliveries import open_bounces
from billing.admin_disputes import open_disputes, open_questions
from billing.bank_queue import waiting_lines
from billing.books_check import open_faults
from billing.card_disputes import unanswered_disputes
from billing.delivering import waiting_deliveries
from billing.event_queue import open_problems
from billing.models import CreditProposal, Invoice, Payout, Refund, WriteOff
from billing.promises import broken_promises
from billing.standing import waiting_steps
from consortium.admin import billing_run  # noqa: F401 - registers its page
from consortium.admin.exits import exits_under_way
from consortium.admin.groups import GROUPS
from consortium.admin.reminders import people_to_call
from consortium.kernel import audit, jobs
from consortium.kernel.admin_site import Waiting
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.models import AuditEvent, Delivery, Document, Job, OutgoingMail
from consortium.usecases.billing_run import overdue_months
from consortium.usecases.join import countersign
from members.admin import AgreementAdmin
from members.diligence import overdue_documents
from members.models import Agreement, Application, BankDetailsChange
from members.permissions import Permission, staff_permissions
from members.upkeep import seats_due
from provisioning.models import Hub, SupportRequest
from provisioning.support.watching import near_clocks

site: Any = admin.site
site.groups = GROUPS
site.waiting = (
    Waiting(
        _("Applications to review"),
        lambda: Application.objects.filter(status="submitted").count(),
        lambda: reverse("admin:members_application_changelist") + "?status__exact=submitted",
    ),
    Waiting(
        _("Due-diligence documents to look at again"),
        lambda: overdue_documents(now().date()).count(),
        lambda: reverse("admin:members_diligencedocument_changelist") + "?overdue=yes",
    ),
    Waiting(
        _("Agreements to write"),
        lambda: Agreement.objects.filter(status="draft").count(),
        lambda: reverse("admin:members_agreement_changelist") + "?status__exact=draft",
    ),
    Waiting(
        _("Agreements to countersign"),
        lambda: Agreement.objects.filter(status="signed").count(),
        lambda: reverse("admin:members_agreement_changelist") + "?status__exact=signed",
    ),
    Waiting(
        _("Seats whose yearly review is overdue"),
        lambda: seats_due(at=now()).count(),
        lambda: reverse("admin:members_seat_changelist") + "?review=due",
    ),
    Waiting(
        _("Hubs to approve or mend"),
        lambda: Hub.objects.filter(status__in=["requested", "failed", "degraded"]).count(),
        lambda: reverse("admin:provisioning_hub_changelist"),
    ),
    Waiting(
        _("Answers to universities that are due soon, or late"),
        lambda: near_clocks(at=now()).count(),
        lambda: reverse("admin:provisioning_supportrequest_changelist") + "?due=near",
    ),
    Waiting(
        _("Support requests to answer"),
        lambda: SupportRequest.objects.filter(status="open").count(),
        lambda: reverse("admin:provisioning_supportrequest_changelist") + "?status__exact=open",
    ),
    Waiting(
        _("Invoices that wait for a person"),
        lambda: Invoice.objects.filter(status__in=["draft", "approved"]).count(),
        lambda: reverse("admin:billing_invoice_changelist"),
    ),
    Waiting(
        _("Invoices to deliver"),
        lambda: waiting_deliveries().count(),
        lambda: reverse("admin:billing_invoicedelivery_changelist") + "?waiting=yes",
    ),
    Waiting(
        _("Mail that came back"),
        open_bounces,
        lambda: reverse("admin:billing_mailbounce_changelist") + "?status__exact=open",
    ),
    Waiting(
        _("Overdue invoices that need a person"),
        people_to_call,
        lambda: reverse("admin:billing_reminder_changelist") + "?waiting=yes",
    ),
    Waiting(
        _("Promises to pay that were broken"),
        lambda: broken_promises().count(),
        lambda: reverse("admin:billing_paymentpromise_changelist") + "?waiting=yes",
    ),
    Waiting(
        _("Steps of a ladder to confirm"),
        waiting_steps,
        lambda: reverse("admin:billing_lapsestep_changelist") + "?status__exact=proposed",
    ),
    Waiting(
        _("Members who leave: ended, not yet settled"),
        exits_under_way,
        lambda: reverse("admin:members_memberexit_changelist"),
    ),
    Waiting(
        _("Disputed lines to decide"),
        open_disputes,
        lambda: reverse("admin:billing_linedispute_changelist") + "?turn=ours",
    ),
    Waiting(
        _("Questions about invoices"),
        open_questions,
        lambda: reverse("admin:billing_invoicequestion_changelist") + "?status__exact=open",
    ),
    Waiting(
        _("Bank lines to explain"),
        lambda: waiting_lines().count(),
        lambda: reverse("admin:billing_bankline_changelist") + "?status__exact=open",
    ),
    Waiting(
        _("Large credits to approve"),
        lambda: CreditProposal.objects.filter(status="waiting").count(),
        lambda: reverse("admin:billing_creditproposal_changelist") + "?status__exact=waiting",
    ),
    Waiting(
        _("Refunds to approve"),
        lambda: Refund.objects.filter(status="proposed").count(),
        lambda: reverse("admin:billing_refund_changelist") + "?status__exact=proposed",
    ),
    Waiting(
        _("Card disputes to answer"),
        lambda: unanswered_disputes().count(),
        lambda: reverse("admin:billing_carddispute_changelist") + "?turn=ours",
    ),
    Waiting(
        _("Payouts that cannot be booked"),
        lambda: Payout.objects.exclude(problem="").count(),
        lambda: reverse("admin:billing_payout_changelist") + "?problem__isempty=0",
    ),
    Waiting(
        _("News of the payment provider to look at"),
        lambda: open_problems().count(),
        lambda: reverse("admin:billing_providerevent_changelist") + "?look=open",
    ),
    Waiting(
        _("Write-offs to approve"),
        lambda: WriteOff.objects.filter(status="waiting").count(),
        lambda: reverse("admin:billing_writeoff_changelist") + "?status__exact=waiting",
    ),
    Waiting(
        _("Changes of our bank details to confirm"),
        lambda: BankDetailsChange.objects.filter(status="waiting").count(),
        lambda: reverse("admin:members_bankdetailschange_changelist") + "?status__exact=waiting",
    ),
    Waiting(
        _("Months to close"),
        lambda: overdue_months(at=now()),
        lambda: reverse("admin:billing_billingrun_changelist"),
    ),
    Waiting(
        _("Jobs that need an operator"),
        lambda: Job.objects.filter(state__in=["failed", "needs_operator"]).count(),
        lambda: reverse("admin:consortium_job_changelist"),
    ),
    Waiting(
        _("Mail that could not be sent"),
        lambda: OutgoingMail.objects.filter(state="failed").count(),
        lambda: reverse("admin:consortium_outgoingmail_changelist") + "?state__exact=failed",
    ),
    Waiting(_("Faults in the books"), open_faults, lambda: reverse("admin:billing_report_changelist")),
)

# Countersigning opens the member's billing account too, which the members app cannot know.
AgreementAdmin.countersign = staticmethod(countersign)


# Who may start which kind of work again; the rest is the operators'.
RETRY = {
    "close_period": Permission.CLOSE_MONTH,
    "process_event": Permission.ISSUE_INVOICES,
    "catch_up_events": Permission.ISSUE_INVOICES,
    "close_stale_page": Permission.ISSUE_INVOICES,
    "refresh_payment": Permission.ISSUE_INVOICES,
    "refresh_payout": Permission.CLOSE_MONTH,
    "send_refund": Permission.REFUND_PAYMENTS,
    "answer_dispute": Permission.REFUND_PAYMENTS,
    "render_invoice": Permission.ISSUE_INVOICES,
    "render_receipt": Permission.ISSUE_INVOICES,
    "render_agreement": Permission.COUNTERSIGN_AGREEMENT,
}


class ReadOnlyAdmin(admin.ModelAdmin[models.Model]):
    """Rows that people look at and programs write."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """Nobody adds."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody changes."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody deletes."""
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what, when."""

    list_display = ["at", "action", "object_type", "object_id", "actor_kind", "scope", "chain", "seq"]
    list_filter = ["action", "actor_kind"]
    search_fields = ["object_id", "chain"]
    date_hierarchy = "at"


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Long work, with what it says of itself."""

    list_display = [
        "kind",
        "unique_key",
        "state",
        "step",
        "done",
        "total",
        "attempts",
        "heartbeat_at",
        "error",
    ]
    list_filter = ["state", "kind"]
    date_hierarchy = "created_at"
    actions = ["retry"]

    @admin.action(description="Retry from the failed step", permissions=["view"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Queue the chosen jobs again; those that are not failed are named."""
        at, held = now(), staff_permissions(request.user)
        for job in queryset:
            if RETRY.get(job.kind, Permission.OPERATE_HUBS) not in held:
                self.message_user(request, f"{job}: your staff role does not allow it.", messages.WARNING)
                continue
            try:
                jobs.retry(job, at=at)
                by: Any = request.user
                audit.record("consortium.job_retried", job, by=by, at=at, institution_id=job.institution_id)
            except PortalError as error:
                self.message_user(request, f"{job}: {error.message}", messages.WARNING)
            else:
                self.message_user(request, f"{job.kind} is queued again.", messages.SUCCESS)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """The outbox."""

    list_display = ["receiver", "event", "attempts", "done_at", "error"]
    list_filter = ["receiver", ("done_at", admin.EmptyFieldListFilter)]


@admin.register(OutgoingMail)
class OutgoingMailAdmin(ReadOnlyAdmin):
    """What was written to whom."""

    list_display = ["subject", "recipient", "language", "state", "sent_at", "error"]
    list_filter = ["state", "template", "language"]
    exclude = ("body",)  # it may hold a link that opens something by itself


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """Files with their hashes."""

    list_display = ["name", "kind", "language", "media_type", "size", "sha256", "created_at"]
    list_filter = ["kind", "language"]


from consortium.admin import (  # noqa: E402, F401 - registers their pages
    arrangements,
    bank,
    bills,
    rules,
    standing,
)

"""Staff pages of agreements: write and negotiate drafts, compare versions, sign, and lead what is in force."""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import URLPattern, path

from consortium.kernel.clock import now
from consortium.kernel.formats import money_text
from members import agreements
from members.admin_agreement_pages import changes_page, edit_page, publish_page
from members.admin_inlines import ReadOnlyInline
from members.agreements.differences import differences
from members.agreements.ending import earliest_last_day, standing_notice
from members.models import (
    Agreement,
    AgreementEvent,
    AgreementRevision,
    AgreementTemplate,
    Membership,
    Signature,
    SigningInvitation,
)
from members.onboarding import newest_template
from members.permissions import Permission
from members.schedule import Schedule
from members.schedule_table import schedule_parts
from members.staff_admin import Act, ActingAdmin, StaffAdmin, held_by

P = Permission
LIVE = ("in_force", "suspended", "terminating")


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        label="Reason, which the owners read", max_length=5_000, widget=forms.Textarea(attrs={"rows": 6})
    )


class TextForm(forms.Form):
    """What is said to the other side."""

    text = forms.CharField(label="Your message", max_length=5_000, widget=forms.Textarea(attrs={"rows": 6}))


class NothingForm(forms.Form):
    """Nothing is asked."""


class CountersignForm(forms.Form):
    """The consortium's signature."""

    name = forms.CharField(label="Your name", max_length=200)
    title = forms.CharField(label="Your title", max_length=200)


class FirstDayForm(forms.Form):
    """The first day of a change."""

    starts_on = forms.DateField(label="First day", widget=forms.DateInput(attrs={"type": "date"}))


class NoticeForm(forms.Form):
    """The last day, and why."""

    last_day = forms.DateField(label="Last day", widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(max_length=5_000, widget=forms.Textarea(attrs={"rows": 6}))


class SignatureInline(ReadOnlyInline):
    """Who signed."""

    model = Signature
    fields = ("side", "name", "title", "language", "at", "content_sha256")


class RevisionInline(ReadOnlyInline):
    """What was negotiated."""

    model = AgreementRevision
    fields = ("number", "at", "author", "note", "content_sha256")


class EventInline(ReadOnlyInline):
    """What happened."""

    model = AgreementEvent
    fields = ("at", "kind", "side", "author", "day", "text")


class InvitationInline(ReadOnlyInline):
    """Delegates who were asked to sign."""

    model = SigningInvitation
    fields = ("name", "email", "created_at", "expires_at", "used_at", "revoked_at")


def preview_countersigning(row: Agreement) -> list[tuple[str, object]]:
    """What comes into force."""
    schedule = Schedule.parse(row.schedule)
    signed = Signature.objects.filter(agreement=row, side="member").first()
    return [
        ("Signed by", f"{signed.name}, {signed.title}, {signed.at:%Y-%m-%d %H:%M} UTC" if signed else "nobody"),
        ("In the language", signed.language if signed else "–"),
        ("As", "an owner" if signed and signed.signer_id else "a delegate"),
        ("Term", f"{row.starts_on} to {row.ends_on or 'open'} ({row.zone})"),
        ("Yearly dues", money_text(schedule.dues, schedule.currency, language="en", code=True)),
        ("Hubs", schedule.entitlements.hubs),
        ("Replaces", row.follows or "nothing"),
        ("SHA-256 of the content", agreements.content_sha256(row)),
    ]


def preview_change(row: Agreement) -> list[tuple[str, object]]:
    """What changes against the version that it follows, schedule only; the Changes page has the clauses too."""
    if row.follows is None:
        return [("Replaces", "nothing: it is the first agreement")]
    (english, _french) = differences(row.follows, row)
    changed = [(change.label, f"{change.before or '–'} → {change.after or '–'}") for change in english.schedule]
    return [*changed, ("Changed lines of the clauses", sum(line.kind != "gap" for line in english.clauses))]


def preview_notice(row: Agreement) -> list[tuple[str, object]]:
    """The soonest last day."""
    return [("Soonest last day", earliest_last_day(row, at=now())), ("It ends anyway on", row.covers_until or "never")]


def act_countersign(row: Agreement, **values: Any) -> object:
    """Countersign by `AgreementAdmin.countersign`, which the project sets to its use case."""
    return AgreementAdmin.countersign(row, **values)


def act_comment(row: Agreement, **values: Any) -> object:
    """Write to the institution."""
    return agreements.comment(row, side="consortium", **values)


def act_amend(row: Agreement, *, starts_on: date, **values: Any) -> object:
    """Draft an amendment."""
    return agreements.draft_change(row, kind="amendment", starts_on=starts_on, **values)


def act_prices(row: Agreement, *, starts_on: date, **values: Any) -> object:
    """Draft a notice of new prices."""
    return agreements.draft_change(row, kind="prices", starts_on=starts_on, **values)


def act_redraft(row: Agreement, *, starts_on: date, **values: Any) -> object:
    """Draft the next version from the newest template, for the size that the membership has now."""
    membership = Membership.objects.filter(institution_id=row.institution_id).first()
    return agreements.draft_agreement(
        institution=row.institution,
        template=newest_template(row.currency),
        fte=membership.fte if membership else 0,
        po_required=Schedule.parse(row.schedule).po_required,
        starts_on=starts_on,
        **values,
    )


def act_renew(row: Agreement, **values: Any) -> object:
    """Draft a renewal."""
    return agreements.draft_change(row, kind="renewal", **values)


def act_notice(row: Agreement, **values: Any) -> object:
    """Give the consortium's notice."""
    return agreements.give_notice(row, side="consortium", **values)


def act_withdraw_notice(row: Agreement, **values: Any) -> object:
    """Take the consortium's notice back."""
    return agreements.withdraw_notice(row, side="consortium", **values)


def _act(
    name: str,
    label: str,
    explain: str,
    run: Callable[..., object],
    *states: str,
    form: type[forms.Form] = NothingForm,
    permission: Permission = P.REVIEW_APPLICATIONS,
    preview: Callable[[Any], list[tuple[str, object]]] | None = None,
    danger: bool = False,
) -> Act:
    return Act(
        name=name, label=label, explain=explain, form=form, run=run, states=states, permission=permission,
        preview=preview, danger=danger,
    )  # fmt: skip


ACTS = (
    _act("offer", "Offer", "The owners are told, and may sign it or send it back.",
         agreements.offer_agreement, "draft", preview=preview_change),
    _act("announce", "Announce new prices", "You sign for the consortium; the owners are told, and the prices hold "
         "from the first day by themselves.", agreements.announce_prices, "draft", form=CountersignForm,
         permission=P.COUNTERSIGN_AGREEMENT, preview=preview_change),
    _act("countersign", "Countersign", "The agreement is in force and the university a member: it may request hubs, "
         "and owes its dues.", act_countersign, "signed", form=CountersignForm,
         permission=P.COUNTERSIGN_AGREEMENT, preview=preview_countersigning),
    _act("comment", "Write to the institution", "The owners get your text by mail; it stands in the history.",
         act_comment, "draft", "offered", "signed", "announced", *LIVE, form=TextForm),
    _act("amend", "Draft an amendment", "A draft is made with the text that is in force. Edit it, then offer it.",
         act_amend, "in_force", "suspended", form=FirstDayForm),
    _act("redraft", "Draft from the newest template", "A draft is made with the terms that new members are offered, "
         "in the tier of the member's size. Edit it, then offer it.",
         act_redraft, "in_force", "suspended", "ended", "withdrawn", form=FirstDayForm),
    _act("renew", "Draft a renewal", "A draft is made that begins when this version ends. Edit it, then offer it.",
         act_renew, "in_force"),
    _act("prices", "Draft new prices", "A draft is made. Edit its prices, then announce them with their notice.",
         act_prices, "in_force", "suspended", form=FirstDayForm),
    _act("suspend", "Suspend", "No hub can be requested until it is resumed; the owners read your reason.",
         agreements.suspend_agreement, "in_force", "terminating", form=ReasonForm,
         permission=P.COUNTERSIGN_AGREEMENT, danger=True),
    _act("resume", "Resume", "Hubs can be requested again; the owners are told.",
         agreements.resume_agreement, "suspended", form=ReasonForm, permission=P.COUNTERSIGN_AGREEMENT),
    _act("notice", "Give notice", "The agreement ends on that day; the owners read your reason.",
         act_notice, "in_force", "suspended", form=NoticeForm, permission=P.COUNTERSIGN_AGREEMENT,
         preview=preview_notice, danger=True),
    _act("unnotice", "Take notice back", "The agreement goes on; the owners are told.",
         act_withdraw_notice, "suspended", "terminating", form=ReasonForm, permission=P.COUNTERSIGN_AGREEMENT),
    _act("withdraw", "Withdraw", "The university cannot sign it any more.",
         agreements.withdraw_agreement, "draft", "offered", "signed", "announced", form=ReasonForm, danger=True),
)  # fmt: skip


@admin.register(Agreement)
class AgreementAdmin(ActingAdmin):
    """Agreements: negotiation, the consortium's signature, and what follows."""

    list_display = ("institution", "version", "kind", "status", "starts_on", "ends_on", "covered_until", "currency")
    list_filter = ("status", "kind", "issuer", "currency")
    search_fields = ("institution__name_en", "institution__name_fr")
    list_select_related = ("institution",)
    date_hierarchy = "starts_on"
    inlines = (SignatureInline, EventInline, RevisionInline, InvitationInline)
    change_form_template = "members/admin/agreement_change_form.html"
    # The project puts its use case here, which also opens the billing account: this app cannot know it.
    countersign: Callable[..., object] = staticmethod(agreements.countersign_agreement)
    acts = ACTS
    exclude = ("schedule",)
    readonly_fields = ("terms",)

    @admin.display(description="Schedule")
    def terms(self, row: Agreement) -> str:
        """The schedule as the tables that people sign."""
        return render_to_string("members/admin/_terms.html", {"parts": schedule_parts(row, language="en")})

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of writing and comparing."""
        view = self.admin_site.admin_view
        return [
            path("<uuid:pk>/edit/", view(self.edit), name="members_agreement_edit"),
            path("<uuid:pk>/changes/", view(self.changes), name="members_agreement_changes"),
            *super().get_urls(),
        ]

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """The acts that fit the kind of version and whose notice stands."""
        acts = super().acts_for(request, row)
        prices = row.kind == "prices"
        wrong = {"offer" if prices else "announce"}
        notice = standing_notice(row) if row.status in LIVE else None
        wrong |= {"notice"} if notice else {"unnotice"}
        if notice and notice.side == "member":
            wrong.add("unnotice")
        if row.covers_until is None:
            wrong.add("renew")
        return [act for act in acts if act.name not in wrong]

    def edit(self, request: HttpRequest, pk: UUID) -> Any:
        """Edit a draft."""
        return edit_page(self, request, pk)

    def changes(self, request: HttpRequest, pk: UUID) -> Any:
        """Compare two revisions, or the version with the one it follows."""
        return changes_page(self, request, pk)


@admin.register(AgreementTemplate)
class AgreementTemplateAdmin(StaffAdmin):
    """Clauses and schedules that were published; a new version is a new row."""

    list_display = ("title_en", "issuer", "version", "created_at")
    change_form_template = "members/admin/template_change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the page of publishing."""
        page = self.admin_site.admin_view(self.publish)
        return [path("<uuid:pk>/next/", page, name="members_agreementtemplate_next"), *super().get_urls()]

    def publish(self, request: HttpRequest, pk: UUID) -> Any:
        """Publish the next version, beginning from this one."""
        return publish_page(self, request, pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Show the version, and to who may publish, the way to the next one."""
        may = Permission.COUNTERSIGN_AGREEMENT in held_by(request)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_publish": may})

"""Pages of an institution's agreements: read, compare, sign, have a delegate sign, ask for changes, give notice."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from consortium.kernel import documents
from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.language import LANGUAGES
from members import agreements, queries
from members.agreement_document import agreement_documents
from members.agreement_forms import DelegateForm, NoticeForm, NoticeWithdrawalForm, WishForm
from members.agreement_pages import agreement_timeline, comparisons, readable, text_context
from members.agreements.ending import earliest_last_day, standing_notice
from members.forms import SignForm, show_refusal
from members.models import Agreement, Application, Signature, SigningInvitation
from members.permissions import Permission
from members.web import MemberRequest, institution_page


def _agreement(request: MemberRequest, pk: UUID) -> Agreement:
    return get_object_or_404(queries.agreements_of(request.institution), pk=pk)


def _may_sign(request: MemberRequest) -> bool:
    return Permission.SIGN_AGREEMENT in request.permissions


@require_safe
@institution_page(Permission.VIEW_AGREEMENT)
def agreement_list(request: MemberRequest) -> HttpResponse:
    """Every version that was offered, newest first, with its state and days."""
    rows = [(row, queries.standing(row)) for row in queries.agreements_of(request.institution)]
    return render(request, "members/agreements.html", {"institution": request.institution, "rows": rows})


@institution_page(Permission.VIEW_AGREEMENT)
def agreement(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Read the agreement in either language, sign it, and see who signed when."""
    row = _agreement(request, pk)
    form = SignForm(request.POST or None, initial={"name": request.user.name})
    if request.method == "POST" and form.is_valid():
        seen = form.cleaned_data.pop("seen")
        try:
            agreements.sign_agreement(row, **form.cleaned_data, seen_sha256=seen, by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("Signed. The consortium countersigns, and we write to you then."))
            return redirect("agreement", slug=request.institution.slug, pk=row.pk)
    return _agreement_page(request, row, form)


def wanted_text(form: SignForm, asked: str | None) -> str:
    """The language in which the text is shown: the one that was about to be signed, asked for, or the page's."""
    wanted = form.data.get("language") or asked or get_language() or ""
    return wanted if wanted in LANGUAGES else LANGUAGES[0]


def _agreement_page(request: MemberRequest, row: Agreement, form: SignForm) -> HttpResponse:
    shown, text = readable(row), wanted_text(form, request.GET.get("text"))
    may_sign = row.status == "offered" and _may_sign(request)
    french = agreements.french_delivery(row, reader=request.user) if may_sign else None
    context: dict[str, Any] = {
        "institution": request.institution,
        "agreement": row,
        "standing": queries.standing(row),
        **text_context(shown, language=text),
        "signatures": list(Signature.objects.filter(agreement=row).order_by("at")),
        "documents": agreement_documents(row),
        "sha256": agreements.content_sha256(row),
        "revised": shown is not row,
        "comparisons": [each for each in comparisons(row) if not each.is_empty],
        "may_sign": may_sign,
        "may_act": _may_sign(request),
        "french_first": may_sign and agreements.needs_french_first(request.institution),
        "french": french,
        "consent": _consent(row, text),
        "invitation": SigningInvitation.objects.filter(agreement=row, used_at=None, revoked_at=None).first(),
        "notice": standing_notice(row),
        "events": agreement_timeline(row, language=(get_language() or "en")[:2]),
        "form": form,
        "form_errors": bool(form.errors),
    }
    return render(request, "members/agreement.html", context, status=422 if form.errors else 200)


def _consent(row: Agreement, text: str) -> str:
    after_french = text != "fr" and agreements.needs_french_first(row.institution)
    return agreements.consent_text(text, after_french=after_french)


@require_POST
@institution_page(Permission.SIGN_AGREEMENT)
def agreement_french(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Hand the French text over, and record it; then show it."""
    row = _agreement(request, pk)
    try:
        agreements.deliver_text(row, language="fr", by=request.user, at=now())
    except PortalError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The French text was handed to you; this was recorded. You may sign either text."))
    response = redirect("agreement", slug=request.institution.slug, pk=row.pk)
    response["Location"] += "?text=fr"
    return response


@require_safe
@institution_page(Permission.VIEW_AGREEMENT)
def agreement_changes(request: MemberRequest, pk: UUID) -> HttpResponse:
    """What changed since the last offer and since the version in force, in both languages."""
    row = _agreement(request, pk)
    context = {"institution": request.institution, "agreement": row, "comparisons": comparisons(row)}
    return render(request, "members/agreement_changes.html", context)


@institution_page(Permission.SIGN_AGREEMENT)
def agreement_request(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Send an offer back with a wish for change; about any other version, write a remark."""
    row = _agreement(request, pk)
    form, at, is_offered = WishForm(request.POST or None), now(), row.status == "offered"
    if request.method == "POST" and form.is_valid():
        text = form.cleaned_data["text"]
        try:
            if is_offered:
                agreements.request_changes(row, reason=text, by=request.user, at=at)
            else:
                agreements.comment(row, side="member", text=text, by=request.user, at=at)
        except PortalError as error:
            show_refusal(form, error)
        else:
            messages.success(request, _("The consortium has it, and writes to you when there is an answer."))
            return redirect("agreement", slug=request.institution.slug, pk=row.pk)
    context = {"institution": request.institution, "agreement": row, "is_offered": is_offered}
    return _form_page(request, "members/agreement_request.html", form, context)


@institution_page(Permission.SIGN_AGREEMENT)
def agreement_delegate(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Let somebody sign by a link to their address."""
    row = _agreement(request, pk)
    form = DelegateForm(request.POST or None, initial=_likely_delegate(request))
    if request.method == "POST" and form.is_valid():
        try:
            agreements.invite_delegate(row, **form.cleaned_data, by=request.user, at=now())
        except PortalError as error:
            show_refusal(form, error)
        else:
            email = form.cleaned_data["email"]
            messages.success(request, _("%(email)s gets the link by mail.") % {"email": email})
            return redirect("agreement", slug=request.institution.slug, pk=row.pk)
    open_now = SigningInvitation.objects.filter(agreement=row, used_at=None, revoked_at=None).first()
    context = {"institution": request.institution, "agreement": row, "invitation": open_now}
    return _form_page(request, "members/agreement_delegate.html", form, context)


def _likely_delegate(request: MemberRequest) -> dict[str, str]:
    """The signatory whom the application named, unless that is who asks."""
    application = Application.objects.filter(institution=request.institution, status="approved").first()
    if application is None or application.signatory_email.lower() == request.user.email.lower():
        return {"language": request.institution.language}
    return {
        "name": application.signatory_name,
        "email": application.signatory_email,
        "language": application.language,
    }


@require_POST
@institution_page(Permission.SIGN_AGREEMENT)
def agreement_delegate_revoke(request: MemberRequest, pk: UUID, invitation: UUID) -> HttpResponse:
    """Take a delegate's link back."""
    row = _agreement(request, pk)
    agreements.revoke_invitation(
        get_object_or_404(SigningInvitation, pk=invitation, agreement=row), by=request.user, at=now()
    )
    messages.success(request, _("The link works no more."))
    return redirect("agreement", slug=request.institution.slug, pk=row.pk)


@institution_page(Permission.SIGN_AGREEMENT)
def agreement_notice(request: MemberRequest, pk: UUID) -> HttpResponse:
    """End the agreement with its notice, or take back the notice that the institution gave."""
    row, at = _agreement(request, pk), now()
    notice = standing_notice(row)
    if row.status not in ("in_force", "suspended", "terminating") or (notice and notice.side != "member"):
        raise Http404
    soonest = earliest_last_day(row, at=at)
    form = NoticeWithdrawalForm(request.POST or None) if notice else NoticeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        act = agreements.withdraw_notice if notice else agreements.give_notice
        try:
            act(row, side="member", **form.cleaned_data, by=request.user, at=at)
        except PortalError as error:
            show_refusal(form, error)
        else:
            done = _("The notice was taken back: the agreement goes on.") if notice else _("Notice was given.")
            messages.success(request, done)
            return redirect("agreement", slug=request.institution.slug, pk=row.pk)
    context = {"institution": request.institution, "agreement": row, "notice": notice, "soonest": soonest}
    return _form_page(request, "members/agreement_notice.html", form, context)


@require_safe
@institution_page(Permission.VIEW_AGREEMENT)
def agreement_document(request: MemberRequest, pk: UUID, language: str) -> HttpResponse:
    """Download the PDF of an agreement in one language, as it was stored."""
    stored = agreement_documents(_agreement(request, pk)).get(language)
    if stored is None:
        raise Http404
    response = HttpResponse(documents.read(stored), content_type=stored.media_type)
    response["Content-Disposition"] = f'attachment; filename="{stored.name}"'
    return response


def _form_page(request: MemberRequest, template: str, form: Any, context: dict[str, Any]) -> HttpResponse:
    context |= {"form": form, "form_errors": bool(form.errors)}
    return render(request, template, context, status=422 if form.errors else 200)

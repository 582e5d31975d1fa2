"""Every address of the portal that names an object, and a university whose objects fill them.

An address added tomorrow is in the list by itself. Where its parameters are of a kind that VALUES does not know, or no
row of `make_foreign_rows` opens it for its rightful people, the tests over this list fail until somebody adds a row or
gives the reason in ELSEWHERE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import translation

from billing.models import Invoice
from consortium.kernel.clock import now
from consortium.kernel.documents import store
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.kernel.uploads import Upload
from members.api_tokens import issue_token
from members.domains import add_domain
from members.models import AccessRequest, Agreement, Application
from members.onboarding import approve_application
from members.ownership import offer_ownership
from members.permissions import Permission
from members.sign_on.configuring import save_sign_on
from provisioning.models import EventWindow
from provisioning.support.attachments import files_of
from provisioning.support.talking import open_request
from tests.cast import Cast
from tests.unit.billing.issued import make_invoice
from tests.unit.members.invited import invited
from tests.unit.members.story import FIRST_DAY, make_template, submitted
from tests.unit.provisioning.stories import running_hub

# Where the key in the address is no institution's object, with who proves that it is safe.
ELSEWHERE: Mapping[str, str] = {
    "pay": "the link is the authority: tests/unit/billing/test_payment_pages.py",
    "pay_pdf": "the link is the authority: tests/unit/billing/test_payment_pages.py",
    "pay_return": "the link is the authority: tests/unit/billing/test_payment_pages.py",
    "pay_state": "the link is the authority: tests/unit/billing/test_payment_pages.py",
    "pay_receipt": "the link is the authority: tests/unit/billing/test_payment_pages.py",
    "pay_fresh": "the link is the authority: tests/unit/billing/test_payment_pages.py",
    "pay_xml": "the link is the authority: tests/unit/billing/test_pay_help.py",
    "pay_question": "the link is the authority: tests/unit/billing/test_pay_help.py",
    "pay_share": "the link is the authority: tests/unit/billing/test_pay_help.py",
    "pay_dispute_choose": "the link is the authority: tests/unit/billing/test_pay_help.py",
    "pay_dispute_line": "the link is the authority: tests/unit/billing/test_pay_help.py",
    "pay_dispute": "the link is the authority: tests/unit/billing/test_pay_help.py",
    "pay_dispute_withdraw": "the link is the authority: tests/unit/billing/test_pay_help.py",
    "leaving_file": "what was exported of whom leaves: tests/unit/consortium/test_exit_member.py",
    "invitation": "the link and the address are: tests/integration/members/test_invitation_pages.py",
    "account_confirm_email": "allauth's signed link: tests/integration/members/test_account_pages.py",
    "account_reset_password_from_key": "allauth's signed link: tests/integration/members/test_account_pages.py",
    "mfa_edit_webauthn": "one's own passkeys: tests/integration/members/test_passkeys.py",
    "mfa_remove_webauthn": "one's own passkeys: tests/integration/members/test_passkeys.py",
    "access_request": "anybody may ask for access: tests/integration/members/test_applying_ways.py",
    "agreement_sign": "the link is the authority: tests/integration/members/test_agreement_pages.py",
    "agreement_sign_french": "the link is the authority: tests/integration/members/test_agreement_pages.py",
    "sign_on_begin": "anybody may begin to sign on: tests/integration/members/test_sign_on_oidc.py",
    "sign_on_callback": "an identity provider comes here: tests/integration/members/test_sign_on_oidc.py",
    "sign_on_acs": "an identity provider comes here: tests/integration/members/test_sign_on_saml.py",
    "sign_on_metadata": "for identity providers, public: tests/integration/members/test_sign_on_saml.py",
    "sign_on_finish": "one browser's own ticket: tests/integration/members/test_sign_on_saml.py",
    "costs_csv": "a month is nobody's object: tests/integration/billing/test_cost_pages.py",
    "costs_focus": "a month is nobody's object: tests/integration/billing/test_cost_pages.py",
    "due_diligence_file": "the pack is for everybody: tests/integration/members/test_diligence_pages.py",
    "status_confirm": "the link is the authority: tests/unit/provisioning/test_status_mail.py",
    "status_leave": "the link is the authority: tests/unit/provisioning/test_status_mail.py",
    "sign_on_unlink": "one's own identities: tests/integration/members/test_sign_on_entering.py",
    "receipt_pdf": "its second key is the first one's: tests/unit/billing/test_payment_pages.py",
}


@dataclass(frozen=True)
class Address:
    """A named route with its parameters in order."""

    name: str
    parameters: tuple[str, ...]
    namespaces: tuple[str, ...] = ()

    def at(self, **values: object) -> str:
        """The address with those values, in English."""
        with translation.override("en"):
            return reverse(self.name, kwargs=values)


@dataclass(frozen=True)
class Rows:
    """Keys of everything that the university of the cast has, by what a parameter may be called."""

    keys: tuple[UUID, ...]
    hubs: tuple[str, ...]
    documents: tuple[UUID, ...] = ()
    values: Mapping[str, tuple[object, ...]] = field(init=False)

    def __post_init__(self) -> None:
        values: dict[str, tuple[object, ...]] = {
            "pk": self.keys,
            "payment": self.keys[:1],
            "hub_slug": self.hubs,
            "language": ("en",),
            "generation": (1,),
            "month": ("2026-09",),
            "bill": self.keys[:3],
            "pool": ("shared",),
            "key": ("use",),
            "act": ("enable",),
            "invitation": self.keys[:1],
            "kind": ("ubl",),
            "issuer": ("icc",),
            "document": self.documents,
        }
        object.__setattr__(self, "values", values)

    def fills(self, address: Address, **fixed: object) -> list[dict[str, object]]:
        """Every way to fill the address with these rows; KeyError names a parameter of an unknown kind."""
        open_names = [name for name in address.parameters if name not in fixed]
        choices = product(*(self.values[name] for name in open_names))
        return [dict(zip(open_names, choice, strict=True)) | fixed for choice in choices]


def _walk(patterns: list[Any], namespaces: tuple[str, ...], names: tuple[str, ...]) -> Iterator[Address]:
    for each in patterns:
        pattern: Any = each.pattern
        found = tuple(pattern.converters) or tuple(pattern.regex.groupindex)
        if isinstance(each, URLResolver):
            inner = (*namespaces, each.namespace) if each.namespace else namespaces
            yield from _walk(each.url_patterns, inner, (*names, *found))
        elif isinstance(each, URLPattern):
            yield Address(each.name or str(pattern), (*names, *found), namespaces)


def addresses() -> list[Address]:
    """Every route that has a parameter, once."""
    with translation.override("en"):
        found = {address: None for address in _walk(get_resolver().url_patterns, (), ()) if address.parameters}
    return list(found)


def page_addresses() -> list[Address]:
    """Those of pages; the admin site opens to staff alone, the API to tokens alone: both have tests of their own."""
    return [each for each in addresses() if "admin" not in each.namespaces and not each.name.startswith("api-")]


def make_foreign_rows(cast: Cast, at: datetime) -> Rows:
    """Give the university of the cast one of everything; the applicant of its application is the stranger."""
    hub = running_hub(cast, at=at)
    invoice: Invoice = make_invoice(cast)
    invited(cast, now())
    with consortium_scope(Scope.COMMAND):
        AccessRequest.objects.create(institution=cast.university, user=cast.stranger, created_at=at)
        offer_ownership(institution=cast.university, to=cast.technical, keeps_role="", by=cast.owner, at=now())
        issue_token(
            institution=cast.university,
            name="reports",
            permissions=[Permission.VIEW_HUBS],
            expires_at=now() + timedelta(days=30),
            by=cast.owner,
            at=now(),
        )
        add_domain(institution=cast.university, name="cedar.example", by=cast.technical, at=now())
        soon = now() + timedelta(days=2)
        EventWindow.objects.create(
            institution=cast.university,
            hub=hub,
            kind="exam",
            title="T",
            expected_users=1,
            starts_at=soon,
            ends_at=soon + timedelta(hours=1),
            currency="CAD",
            booked_by=cast.technical,
            booked_at=now(),
        )
        asked = open_request(
            hub,
            severity="normal",
            title="T",
            text="T",
            attachments=(Upload("a.txt", b"x"),),
            by=cast.technical,
            at=now(),
        )
        provider = {"kind": "oidc", "issuer": "https://login.cedar.example", "client_id": "portal"}
        save_sign_on(institution=cast.university, values=provider, secret="s", by=cast.technical, at=now())
        agreement = _agreement(cast, at)
        for subject, kind in ((agreement, "agreement"), (invoice, "invoice")):
            store(
                b"%PDF-1.7",
                kind=kind,
                name=f"{kind}.pdf",
                media_type="application/pdf",
                subject=subject,
                institution_id=cast.university.pk,
                at=at,
                language="en",
            )
        sent = tuple(each.pk for each in files_of(asked.messages.all()))
        return Rows(keys=tuple(_keys(cast)), hubs=(hub.slug,), documents=sent)


def _agreement(cast: Cast, at: datetime) -> Agreement:
    """An offered agreement, moved to the university that is a member already, and an application of its own."""
    from tests.unit.members.story import make_applicant_university  # noqa: PLC0415 - a university of its own

    make_template(cast.issuer, at)
    application: Application = submitted(make_applicant_university(), by=cast.stranger, at=at)
    agreement = approve_application(application, starts_on=FIRST_DAY, by=cast.staff, at=at)
    Agreement.objects.filter(pk=agreement.pk).update(institution=cast.university)
    # What was submitted is frozen, so the member's own application is a draft that was never handed in.
    Application.objects.create(institution=cast.university, applicant=cast.stranger, created_at=at)
    agreement.refresh_from_db()
    return agreement


def tenant_models() -> list[type[models.Model]]:
    """Every model whose rows belong to an institution."""
    ours = {"members", "billing", "provisioning", "consortium"}
    return [
        model
        for model in apps.get_models()
        if model._meta.app_label in ours
        and any(column.attname == "institution_id" for column in model._meta.concrete_fields)
    ]


def _keys(cast: Cast) -> Iterator[UUID]:
    for model in tenant_models():
        rows = model._default_manager.filter(institution_id=cast.university.pk)
        yield from rows.order_by("pk").values_list("pk", flat=True)[:1]


def everything_of(cast: Cast) -> dict[str, list[dict[str, Any]]]:
    """All rows of the university, to see that nothing has changed. Needs a scope that sees them."""
    return {
        model._meta.label: list(
            model._default_manager.filter(institution_id=cast.university.pk).order_by("pk").values()
        )
        for model in tenant_models()
    }

"""The consortium's half of joining: countersigning puts the agreement in force and opens the member's account."""

from datetime import datetime

from django.db import transaction

from billing.accounts import Payer, accounts_by_institution, open_billing_account
from billing.models import BillingAccount
from members.agreements import countersign_agreement
from members.answers import postal_address
from members.entitlements import entitlements_of
from members.models import Agreement, Application, Institution, User


@transaction.atomic
def countersign(agreement: Agreement, *, name: str, title: str, by: User, at: datetime) -> BillingAccount:
    """Put the agreement in force and open the billing account that its application describes.

    A later version keeps the account that is open. Both or neither. Raises what members.agreements and billing.accounts
    raise. Needs a scope over the institution.
    """
    countersign_agreement(agreement, name=name, title=title, by=by, at=at)
    opened = accounts_by_institution(agreement.issuer).get(agreement.institution_id)
    if agreement.kind != "first" and opened is not None:
        return opened
    application = Application.objects.filter(institution_id=agreement.institution_id, status="approved").first()
    institution, agreed = agreement.institution, entitlements_of(agreement)
    payer = Payer(
        name=(application.legal_name if application else "") or institution.name_en,
        address=_address_for_invoices(application) or institution.city,
        province=_province(application, institution),
        country=application.country if application else institution.country,
        email=application.finance_email if application else "",
        currency=agreed.currency,
        language=application.language if application else institution.language,
        po_required=agreed.po_required,
        payment_days=agreed.payment_days,
    )
    return open_billing_account(institution=institution, issuer=agreement.issuer, payer=payer, by=by, at=at)


def _address_for_invoices(application: Application | None) -> str:
    if application is None:
        return ""
    return application.finance_address or postal_address(application)


def _province(application: Application | None, institution: Institution) -> str:
    """Where the sales taxes are those of: what the application says, else where the institution is."""
    if application is None or (not application.province and application.country == institution.country):
        return institution.province
    return application.province

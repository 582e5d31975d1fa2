"""Who: people, institutions and their place in the consortium, applications, agreements, issuers."""

from members.models.agreements import (
    Agreement,
    AgreementEvent,
    AgreementRevision,
    AgreementTemplate,
    Signature,
    SigningInvitation,
    TextDelivery,
)
from members.models.applications import Application, ApplicationNote
from members.models.institutions import Institution, MemberKey, Membership, Seat
from members.models.issuers import BankDetails, Issuer, TaxRegistration
from members.models.people import ApiToken, StaffSeat, User

__all__ = [
    "Agreement",
    "AgreementEvent",
    "AgreementRevision",
    "AgreementTemplate",
    "ApiToken",
    "Application",
    "ApplicationNote",
    "BankDetails",
    "Institution",
    "Issuer",
    "MemberKey",
    "Membership",
    "Seat",
    "Signature",
    "SigningInvitation",
    "StaffSeat",
    "TaxRegistration",
    "TextDelivery",
    "User",
]

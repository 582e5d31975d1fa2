"""Who: people, institutions and their place in the consortium, applications, agreements, issuers."""

from members.models.agreements import Agreement, AgreementTemplate, Signature
from members.models.applications import Application, ApplicationNote
from members.models.institutions import Institution, MemberKey, Membership, Seat
from members.models.invitations import Invitation, OwnershipOffer
from members.models.issuers import BankDetails, Issuer, TaxRegistration
from members.models.people import ApiToken, StaffSeat, User

__all__ = [
    "Agreement",
    "AgreementTemplate",
    "ApiToken",
    "Application",
    "ApplicationNote",
    "BankDetails",
    "Institution",
    "Invitation",
    "Issuer",
    "MemberKey",
    "Membership",
    "OwnershipOffer",
    "Seat",
    "Signature",
    "StaffSeat",
    "TaxRegistration",
    "User",
]

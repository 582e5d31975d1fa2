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
from members.models.applications import AccessDecision, AccessRequest, Application, ApplicationNote
from members.models.bank_changes import BankDetailsChange
from members.models.diligence import DiligenceDocument, DiligenceVersion
from members.models.domains import Domain
from members.models.exits import MemberExit
from members.models.institutions import Institution, MemberKey, Membership, Seat
from members.models.invitations import Invitation, OwnershipOffer
from members.models.issuers import BankDetails, Issuer, TaxRegistration
from members.models.people import ApiToken, StaffSeat, User
from members.models.sign_on import SignOn, SignOnTest, UsedAssertion

__all__ = [
    "AccessDecision",
    "AccessRequest",
    "Agreement",
    "AgreementEvent",
    "AgreementRevision",
    "AgreementTemplate",
    "ApiToken",
    "Application",
    "ApplicationNote",
    "BankDetails",
    "BankDetailsChange",
    "DiligenceDocument",
    "DiligenceVersion",
    "Domain",
    "Institution",
    "Invitation",
    "Issuer",
    "MemberExit",
    "MemberKey",
    "Membership",
    "OwnershipOffer",
    "Seat",
    "SignOn",
    "SignOnTest",
    "Signature",
    "SigningInvitation",
    "StaffSeat",
    "TaxRegistration",
    "TextDelivery",
    "UsedAssertion",
    "User",
]

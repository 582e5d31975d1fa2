"""The issuer's tax registrations and a payer's place, as the values that tax decisions are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from billing.line_taxes import TaxFacts
from billing.models import BillingAccount, TaxCertificate
from billing.tax import Registration, Tax
from consortium.kernel.periods import local_date
from members.models import Issuer, TaxRegistration

_TAXES = frozenset(Tax)


@dataclass(frozen=True, slots=True)
class IssuerTaxes:
    """An issuer's registrations, and the day whose rates apply."""

    registrations: tuple[Registration, ...]
    on: date
    certificates: Mapping[tuple[UUID, str], str] = field(default_factory=dict)  # (account, kind): number and source

    def of(self, account: BillingAccount) -> TaxFacts:
        """Will return what decides the taxes of that payer."""
        return TaxFacts(
            province=account.province,
            country=account.country,
            evidence=self.certificates.get((account.pk, "non_residence"), "") or account.tax_evidence,
            vat_number=self.certificates.get((account.pk, "vat_number"), ""),
            registrations=self.registrations,
            on=self.on,
        )


def tax_facts(issuer: Issuer, *, at: datetime) -> IssuerTaxes:
    """Return the issuer's side of tax decisions on the day of `at` in its own zone."""
    on = local_date(at, issuer.zone)
    proofs = TaxCertificate.objects.filter(billing_account__issuer=issuer, valid__contains=on)
    rows = TaxRegistration.objects.filter(issuer=issuer).order_by("tax", "jurisdiction")
    return IssuerTaxes(
        tuple(
            Registration(row.jurisdiction, Tax(row.tax), row.number, row.valid.lower or date.min, row.valid.upper)
            for row in rows
            if row.tax in _TAXES
        ),
        on,
        {(proof.billing_account_id, proof.kind): proof.number for proof in proofs},
    )

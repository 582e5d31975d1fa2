"""The legal entity that contracts and invoices, with its dated registrations and bank details."""

from django.db import models

from consortium.kernel.dated import Dated, one_at_a_time
from consortium.kernel.fields import CurrencyField, Row
from consortium.kernel.language import Bilingual


class Issuer(Row):
    """A legal entity of the consortium. Agreements, invoices and the ledger name theirs from the first row."""

    slug = models.SlugField(max_length=40, unique=True)
    name_en = models.CharField(max_length=200)
    name_fr = models.CharField(max_length=200, blank=True)
    address = models.TextField()
    country = models.CharField(max_length=2, default="CA")
    currency = CurrencyField(default="CAD")
    email = models.EmailField()
    zone = models.CharField("time zone of its books", max_length=60)

    name = Bilingual("name")

    def __str__(self) -> str:
        return self.name_en


class TaxRegistration(Row, Dated):
    """A registration for one tax; nothing is charged before it begins."""

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="tax_registrations")
    tax = models.CharField(max_length=4, choices=[(tax, tax) for tax in ("GST", "QST", "PST", "RST", "VAT")])
    jurisdiction = models.CharField(max_length=6)
    number = models.CharField(max_length=40)

    class Meta:
        constraints = [one_at_a_time("taxregistration_one", "issuer", "tax", "jurisdiction")]

    def __str__(self) -> str:
        return f"{self.tax} {self.number}"


class BankDetails(Row, Dated):
    """Where a transfer in one currency goes.

    The first ones of an issuer are written with it, in one statement; every later row comes of a `change` that two
    people made, and only its end is ever set, by the next one.
    """

    issuer = models.ForeignKey(Issuer, models.PROTECT, related_name="bank_details")
    currency = CurrencyField()
    bank = models.CharField(max_length=100)
    holder = models.CharField(max_length=100)
    account_number = models.CharField(max_length=40)
    routing = models.CharField("transit, institution or SWIFT", max_length=60)
    change = models.OneToOneField(
        "members.BankDetailsChange", models.PROTECT, null=True, blank=True, related_name="details"
    )

    class Meta:
        verbose_name_plural = "bank details"
        constraints = [one_at_a_time("bankdetails_one", "issuer", "currency")]

    def __str__(self) -> str:
        return f"{self.bank} {self.currency}"

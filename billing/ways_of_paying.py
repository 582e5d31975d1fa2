"""How people call the ways of paying."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import Payment

METHOD_NAMES: Final[dict[str, Promise]] = {
    "card": gettext_lazy("Card"),
    "acss_debit": gettext_lazy("Canadian bank debit"),
    "us_bank_account": gettext_lazy("US bank debit"),
    "bank_transfer": gettext_lazy("Bank transfer"),
    "cheque": gettext_lazy("Cheque"),
    "wire": gettext_lazy("Wire"),
}


def method_name(payment: Payment) -> str:
    """How a payment was made, in words."""
    return str(METHOD_NAMES.get(payment.method) or (_("By hand") if payment.provider == "manual" else _("Online")))

"""What a payer's bank says of money that it takes back, in words for a finance office."""

from django.utils.translation import gettext as _


def reason_words(code: str) -> str:
    """Return the reason in the language that is active; a code that we do not know is shown as it is."""
    known = {
        "insufficient_funds": _("there was not enough money in the account"),
        "debit_not_authorized": _("the account's holder did not authorise the debit"),
        "customer_initiated": _("the account's holder asked for the money back"),
        "incorrect_account_details": _("the account does not exist or is closed"),
        "bank_cannot_process": _("the bank could not process the debit"),
        "check_returned": _("the cheque was returned"),
        "fraudulent": _("the card's holder does not know the payment"),
        "duplicate": _("the payment was made twice"),
        "product_not_received": _("the service was not received"),
        "product_unacceptable": _("the service was not as agreed"),
        "credit_not_processed": _("a promised refund did not arrive"),
        "unrecognized": _("the card's holder does not recognise the payment"),
        "subscription_canceled": _("the service had been cancelled"),
        "general": _("no reason was given"),
    }
    return known.get(code, code.replace("_", " "))

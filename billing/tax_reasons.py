"""The sentences that say on an invoice why a tax is charged or not, in English and French."""

from decimal import Decimal
from typing import Final

from consortium.kernel.money import plain

PROVINCES: Final = {
    "AB": ("Alberta", "Alberta"),
    "BC": ("British Columbia", "Colombie-Britannique"),
    "MB": ("Manitoba", "Manitoba"),
    "NB": ("New Brunswick", "Nouveau-Brunswick"),
    "NL": ("Newfoundland and Labrador", "Terre-Neuve-et-Labrador"),
    "NS": ("Nova Scotia", "Nouvelle-Écosse"),
    "NT": ("Northwest Territories", "Territoires du Nord-Ouest"),
    "NU": ("Nunavut", "Nunavut"),
    "ON": ("Ontario", "Ontario"),
    "PE": ("Prince Edward Island", "Île-du-Prince-Édouard"),
    "QC": ("Quebec", "Québec"),
    "SK": ("Saskatchewan", "Saskatchewan"),
    "YT": ("Yukon", "Yukon"),
}

FRENCH_NAMES: Final = {"GST": "TPS", "HST": "TVH", "QST": "TVQ", "PST": "TVP", "RST": "TVD"}

_SENTENCES: Final = {
    "charged": (
        "{tax} at {rate}%: the place of supply is {place}.",
        "{taxe} de {taux}\N{NO-BREAK SPACE}% : le lieu de fourniture est {lieu}.",
    ),
    "not_registered": (
        "No {tax} is charged: the issuer was not registered for it on this date.",
        "Aucune {taxe} n’est facturée : l’émetteur n’y était pas inscrit à cette date.",
    ),
    "no_provincial_rule": (
        "No {tax} is charged: this service is not taxable in {place}.",
        "Aucune {taxe} n’est facturée : ce service n’est pas taxable (province : {lieu}).",
    ),
    "zero_rated_export": (
        "Zero-rated: supplied to a person who is not resident in Canada.",
        "Détaxé : fourniture à une personne qui ne réside pas au Canada.",
    ),
    "reverse_charge": (
        "Zero-rated in Canada. Reverse charge: the buyer accounts for the value added tax of its own country.",
        "Détaxé au Canada. Autoliquidation : l’acheteur déclare la taxe sur la valeur ajoutée de son propre pays.",
    ),
    "exempt_dues": (
        "Exempt: membership dues that the issuer treats as an exempt supply.",
        "Exonéré : cotisation que l’émetteur traite comme une fourniture exonérée.",
    ),
    "agency": (
        "No tax: an expense paid as the member’s agent and passed on unchanged.",
        "Sans taxe : dépense payée à titre de mandataire du membre et refacturée telle quelle.",
    ),
    "deposit": (
        "No tax: a deposit is taxed when it is applied to a supply.",
        "Sans taxe : un dépôt est taxé lorsqu’il est affecté à une fourniture.",
    ),
}


def reason(code: str, tax: str, province: str, rate: Decimal) -> tuple[str, str]:
    """Will return the English and the French sentence of a reason code."""
    english, french = _SENTENCES[code]
    place, lieu = PROVINCES.get(province, ("", ""))
    words = {
        "tax": tax,
        "taxe": FRENCH_NAMES[tax],
        "rate": plain(rate),
        "taux": plain(rate).replace(".", ","),
        "place": place,
        "lieu": lieu,
    }
    return english.format(**words), french.format(**words).replace(" :", "\N{NO-BREAK SPACE}:")

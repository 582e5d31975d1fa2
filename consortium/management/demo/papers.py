"""The documents of the demonstration's due-diligence pack: one of each kind, in Markdown beside this file.

What the portal knows already (the issuer, its tax registrations, the dues of the schedule) is filled in from there.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from consortium.kernel.formats import money_text, number_text
from consortium.kernel.language import bilingual
from consortium.kernel.periods import local_date
from consortium.management.demo.schedule import SCHEDULE
from members.models import Issuer, TaxRegistration
from members.schedule import Tier

TEXTS = Path(__file__).parent / "pack"


@dataclass(frozen=True)
class Paper:
    """A document of the pack."""

    slug: str
    kind: str
    title_en: str
    title_fr: str
    description_en: str
    description_fr: str


PAPERS = (
    Paper(
        "hecvat",
        "hecvat",
        "HECVAT answers",
        "Réponses au HECVAT",
        "Security questions of higher education, as far as the software answers them.",
        "Questions de sécurité de l'enseignement supérieur, dans la mesure où le logiciel y répond.",
    ),
    Paper(
        "privacy",
        "privacy",
        "Privacy impact: what we keep and why",
        "Vie privée : ce que nous conservons et pourquoi",
        "Input for your own assessment.",
        "Éléments pour votre propre évaluation.",
    ),
    Paper(
        "data-flow",
        "data_flow",
        "Data flow",
        "Circulation des données",
        "What moves between people, hubs, the portal and the cloud.",
        "Ce qui circule entre les personnes, les hubs, le portail et le nuage.",
    ),
    Paper(
        "subprocessors",
        "subprocessors",
        "Subprocessors",
        "Sous-traitants",
        "Who else handles information, and for what.",
        "Qui d'autre traite des renseignements, et pourquoi.",
    ),
    Paper(
        "procurement",
        "procurement",
        "Procurement basis",
        "Fondement de l'approvisionnement",
        "What is bought, its value over a term, and on what basis universities contract.",
        "Ce qui est acheté, sa valeur sur une période, et à quel titre les universités contractent.",
    ),
    Paper(
        "insurance",
        "insurance",
        "Insurance",
        "Assurances",
        "Policies, their limits, and how to get a certificate.",
        "Les polices, leurs plafonds, et comment obtenir une attestation.",
    ),
    Paper(
        "vendor",
        "vendor",
        "Vendor facts",
        "Fiche du fournisseur",
        "Who the consortium is, how it is governed, and how to set it up as a supplier.",
        "Qui est le consortium, comment il est gouverné, et comment l'inscrire comme fournisseur.",
    ),
)


TIER_WORDS = {
    ("en", True): "{name}, up to {people} students: {year} a year, {term} in the term",
    ("en", False): "{name}, above that: {year} a year, {term} in the term",
    ("fr", True): "{name}, jusqu'à {people} étudiants : {year} par an, {term} pour la période",
    ("fr", False): "{name}, au-delà : {year} par an, {term} pour la période",
}


def paper_text(paper: Paper, issuer: Issuer, language: str, at: datetime) -> str:
    """Return the Markdown of a document in a language, with the facts that the portal knows on that day."""
    text = (TEXTS / f"{paper.slug}_{language}.md").read_text(encoding="utf-8")
    facts = {
        "name": bilingual(issuer, "name", language),
        "address": ", ".join(issuer.address.splitlines()) + ".",
        "email": issuer.email,
        "taxes": _taxes(issuer, at),
        "tiers": "\n".join(f"- {_tier(tier, language)}." for tier in SCHEDULE.tiers),
    }
    text = re.sub(r"\[\[(\w+)\]\]", lambda found: facts[found[1]], text)
    # In French the space before these signs never ends a line.
    return re.sub(r" (?=[:;?!»$%])", "\N{NO-BREAK SPACE}", text) if language == "fr" else text


def _taxes(issuer: Issuer, at: datetime) -> str:
    rows = TaxRegistration.objects.filter(issuer=issuer, valid__contains=local_date(at, issuer.zone))
    return ", ".join(str(row) for row in rows.order_by("tax")) + "."


def _tier(tier: Tier, language: str) -> str:
    words = TIER_WORDS[language, tier.fte_up_to is not None]
    term = tier.dues * Decimal(SCHEDULE.term_months or 12) / 12
    return words.format(
        name=bilingual(tier, "name", language),
        people=number_text(tier.fte_up_to or 0, language=language),
        year=money_text(tier.dues, SCHEDULE.currency, language=language, code=True),
        term=money_text(term, SCHEDULE.currency, language=language, code=True),
    )

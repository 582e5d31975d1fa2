"""The demonstration's due-diligence pack, and an application that waits for a reviewer."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.template.loader import render_to_string
from django.utils import translation

from consortium.kernel.audit import System
from consortium.kernel.language import LANGUAGES, bilingual
from consortium.kernel.pdf import write_pdf
from consortium.management.demo.history import answers_of
from members.agreement_document import SHEET, clauses_html
from members.diligence import PackFile, add_document, publish_version
from members.models import Application, DiligenceDocument, Institution, Issuer, User
from members.onboarding import answer_question, ask_applicant, save_application, start_application, submit_application

SETUP = System("demo")
TEXTS = Path(__file__).parent / "pack"
NOTES = {"en": "Demonstration data", "fr": "Données de démonstration"}
APPLICANT = "usask"


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
)


def tell_applying(*, issuer: Issuer, staff: User, at: datetime) -> None:
    """Publish what is missing of the pack, and let a university apply. Needs a consortium scope; safe to start over."""
    for paper in PAPERS:
        if not DiligenceDocument.objects.filter(slug=paper.slug).exists():
            _publish(paper, issuer, at)
    institution = Institution.objects.get(slug=APPLICANT)
    if not Application.objects.filter(institution=institution).exists():
        _apply(institution, staff, at)


def _publish(paper: Paper, issuer: Issuer, at: datetime) -> None:
    review_on = at.date() + timedelta(days=365)
    document = add_document(**vars(paper), review_on=review_on, by=SETUP, at=at)
    files = {language: PackFile(f"{paper.slug}.pdf", _pdf(paper, issuer, language, at)) for language in LANGUAGES}
    publish_version(document, files=files, dated=at.date(), review_on=review_on, by=SETUP, at=at)


def _pdf(paper: Paper, issuer: Issuer, language: str, at: datetime) -> bytes:
    text = (TEXTS / f"{paper.slug}_{language}.md").read_text(encoding="utf-8")
    with translation.override(language):
        html = render_to_string(
            "documents/diligence.html",
            {
                "language": language,
                "title": bilingual(paper, "title", language),
                "issuer": bilingual(issuer, "name", language),
                "note": NOTES[language],
                "dated": at.date(),
                "text": clauses_html(text),
            },
        )
    return write_pdf(html, sheet=SHEET)


def _apply(institution: Institution, staff: User, at: datetime) -> None:
    """An application in the middle of its conversation."""
    address = f"applicant@{institution.slug}.demo.example"
    applicant = User.objects.filter(email=address).first() or User.objects.create_user(
        address, name=f"Demonstration applicant, {institution.name_en}"
    )
    begun = at - timedelta(days=6)
    application = start_application(institution=institution, by=applicant, at=begun)
    values = answers_of(institution, owner=applicant, fte=21_000, language="en", address="Demonstration address")
    save_application(application, values=values, by=applicant, at=begun)
    submit_application(application, by=applicant, at=begun + timedelta(days=1))
    question = "Which courses would use the hubs in the first term, and with how many students?"
    ask_applicant(application, text=question, by=staff, at=begun + timedelta(days=3))
    answer = "Two courses in statistics with some 400 students, and a workshop for researchers."
    answer_question(application, text=answer, by=applicant, at=begun + timedelta(days=4))

"""The demonstration's due-diligence pack, and an application that waits for a reviewer."""

from datetime import datetime, timedelta

from django.template.loader import render_to_string
from django.utils import translation

from consortium.kernel.audit import System
from consortium.kernel.language import LANGUAGES, bilingual
from consortium.kernel.pdf import write_pdf
from consortium.management.demo.history import answers_of
from consortium.management.demo.papers import PAPERS, Paper, paper_text
from members.agreement_document import SHEET, clauses_html
from members.diligence import PackFile, add_document, publish_version
from members.models import Application, DiligenceDocument, Institution, Issuer, User
from members.onboarding import answer_question, ask_applicant, save_application, start_application, submit_application

SETUP = System("demo")
NOTES = {"en": "Demonstration data", "fr": "Données de démonstration"}
APPLICANT = "usask"


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
    with translation.override(language):
        html = render_to_string(
            "documents/diligence.html",
            {
                "language": language,
                "title": bilingual(paper, "title", language),
                "issuer": bilingual(issuer, "name", language),
                "note": NOTES[language],
                "dated": at.date(),
                "text": clauses_html(paper_text(paper, issuer, language, at)),
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

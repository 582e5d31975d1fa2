"""The agreement as a document: safe from its own clauses, complete, in both languages, stored once."""

import hashlib
import io
import re
from datetime import datetime

import pytest
from pypdf import PdfReader

from consortium.kernel import documents, jobs
from consortium.kernel.crash import SimulatedCrash, arm, disarm
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document, Job
from members.agreement_document import agreement_documents, agreement_html, agreement_pdf, clauses_html
from members.models import Agreement, Institution
from members.schedule_table import schedule_parts
from tests.cast import Cast, make_cast
from tests.unit.members.story import in_force, make_applicant_university, make_template, offered

HOSTILE = [
    "<script>alert(1)</script>",
    '<img src="http://127.0.0.1:1/x.png">',
    "![x](file:///etc/passwd)",
    "[x](javascript:alert(1))",
    '<link rel="stylesheet" href="http://127.0.0.1:1/">',
    '<svg><image href="file:///etc/passwd"/></svg>',
    '<iframe src="file:///etc/passwd"></iframe>',
    '<p style="background:url(http://127.0.0.1:1/)">x</p>',
]


@pytest.mark.parametrize("clause", HOSTILE)
def test_clauses_carry_no_markup_of_their_own_and_no_targets(clause: str) -> None:
    html = clauses_html(f"## One\n\n{clause}\n")
    assert "<h2>One</h2>" in html
    tags = re.findall(r"<[^>]*>", html)  # what stands escaped is text
    assert set(tags) <= {"<h2>", "</h2>", "<p>", "</p>"}


def test_headings_begin_at_the_level_that_the_page_wants() -> None:
    assert clauses_html("# One\n\n## Two", level=3) == "<h3>One</h3>\n<h4>Two</h4>\n"


@pytest.mark.usefixtures("scope", "terms")
def test_the_schedule_reads_the_same_figures_in_both_languages(cast: Cast, birch: Institution, at: datetime) -> None:
    agreement = offered(birch, by=cast.stranger, staff=cast.staff, at=at)
    english = [value for part in schedule_parts(agreement, language="en") for _label, value in part.rows]
    french = [value for part in schedule_parts(agreement, language="fr") for _label, value in part.rows]
    assert "6,000.00\N{NO-BREAK SPACE}CAD" in english
    assert "6\N{NO-BREAK SPACE}000,00\N{NO-BREAK SPACE}CAD" in french
    assert "30 September 2027" in english  # the last day, where the stored end is the day after
    assert "30 septembre 2027" in french
    assert len(english) == len(french)


@pytest.mark.usefixtures("scope", "terms")
def test_the_document_names_parties_terms_signatures_and_hash(cast: Cast, birch: Institution, at: datetime) -> None:
    agreement = in_force(birch, by=cast.stranger, staff=cast.staff, at=at)
    html = agreement_html(agreement, language="fr")
    assert '<html lang="fr">' in html
    for words in ("Entente de service", "Université Birch", "environnements", "Alma Birch", "Sam Staff"):
        assert words in html
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(agreement_pdf(agreement, language="fr"))).pages)
    assert "Université Birch" in text


@pytest.mark.usefixtures("committed_db")
def test_the_job_stores_each_language_once_though_it_died_after_the_first(at: datetime) -> None:
    cast = make_cast(at)
    with consortium_scope(Scope.COMMAND):
        make_template(cast.issuer, at)
        agreement = in_force(make_applicant_university(), by=cast.stranger, staff=cast.staff, at=at)
        job = Job.objects.get(kind="render_agreement")
    arm("agreement.rendered")
    try:
        with pytest.raises(SimulatedCrash):
            jobs.run(job.pk)
    finally:
        disarm()
    with consortium_scope(Scope.COMMAND):
        first = Document.objects.get()
        Job.objects.filter(pk=job.pk).update(lease_until=at)  # long ago
    assert jobs.run(job.pk)
    with consortium_scope(Scope.COMMAND):
        job.refresh_from_db()
        stored = agreement_documents(Agreement.objects.get(pk=agreement.pk))
        assert set(stored) == {"en", "fr"}
        assert stored["en"].pk == first.pk
        for language, document in stored.items():
            content = documents.read(document)
            assert content.startswith(b"%PDF-")
            assert hashlib.sha256(content).hexdigest() == document.sha256 == job.result[language]

"""The demonstration of applying: a pack that can be read, an application that waits, and nothing doubled."""

from datetime import datetime

import pytest

from consortium.kernel.audit import System
from consortium.management.demo.applying import tell_applying
from consortium.models import Document
from members.answers import missing_answers
from members.directory import load_directory
from members.models import Application, DiligenceVersion
from tests.cast import Cast


@pytest.mark.usefixtures("scope")
def test_told_twice_it_doubles_nothing(cast: Cast, at: datetime) -> None:
    load_directory(by=System("test"), at=at)
    for _turn in range(2):
        tell_applying(issuer=cast.issuer, staff=cast.staff, at=at)
    assert DiligenceVersion.objects.count() == 7
    assert Document.objects.filter(kind="due_diligence", media_type="application/pdf").count() == 14
    application = Application.objects.get()
    assert (application.status, missing_answers(application)) == ("submitted", ())
    assert [note.kind for note in application.notes.all()] == ["question", "answer"]

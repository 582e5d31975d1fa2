"""The story's place: the cast, published terms, a university that wants to join, and a scope that sees all of it."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import AgreementTemplate, Institution
from tests.cast import Cast
from tests.unit.members.agreement_story import Place
from tests.unit.members.story import make_applicant_university, make_template


@pytest.fixture
def terms(cast: Cast, at: datetime) -> AgreementTemplate:
    with consortium_scope(Scope.COMMAND):
        return make_template(cast.issuer, at)


@pytest.fixture
def birch(db: None) -> Institution:
    return make_applicant_university()


@pytest.fixture
def scope(db: None) -> Iterator[None]:
    with consortium_scope(Scope.COMMAND):
        yield


@pytest.fixture
def place(scope: None, cast: Cast, birch: Institution, terms: AgreementTemplate, at: datetime) -> Place:
    return Place(cast, birch, terms, at)

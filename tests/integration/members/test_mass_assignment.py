"""Mass assignment: every field of every model, sent along with a form, changes nothing that the form does not ask."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from django import forms
from django.apps import apps
from django.db import models, transaction

from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Application, Institution, Seat, User
from members.onboarding import start_application
from tests.cast import Cast
from tests.integration.members.browser import signed_in
from tests.unit.members.story import ANSWERS

OURS = ("members", "billing", "provisioning")
NEW = {"token_hash", "token_prefix"}  # random at each writing
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def our_models() -> list[type[models.Model]]:
    return [model for label in OURS for model in apps.get_app_config(label).get_models()]


def hostile(cast: Cast) -> dict[str, str]:
    """A value for every field of every model of ours, as an attacker would like it."""
    values: dict[str, str] = {}
    for model in our_models():
        for column in model._meta.concrete_fields:
            if isinstance(column, models.BooleanField):
                value = "on"
            elif isinstance(column, models.ForeignKey | models.UUIDField):
                value = str(cast.outsider.pk)
            elif isinstance(column, models.DateTimeField | models.DateField):
                value = "2001-01-01"
            elif isinstance(column, models.IntegerField | models.DecimalField):
                value = "31337"
            else:
                value = {"role": "owner", "source": "hacked"}.get(column.name, "accepted")
            values |= {column.name: value, column.attname: value}
    return values


def state() -> dict[str, list[Any]]:
    """Every row of ours without its key and what is random; in the order in which the rows were made."""
    found = {}
    for model in our_models():
        kept = [c.attname for c in model._meta.concrete_fields if not c.primary_key and c.attname not in NEW]
        found[model._meta.label] = list(model._default_manager.order_by("pk").values_list(*kept))
    return found


@dataclass(frozen=True)
class Case:
    """A form: who sends it where, with what."""

    who: str
    url: Callable[[Cast], str]
    form: dict[str, str]


def seat_url(cast: Cast) -> str:
    with consortium_scope(Scope.COMMAND):
        return f"/en/i/cedar/people/{Seat.objects.get(user=cast.viewer).pk}/"


def application_url(cast: Cast) -> str:
    with consortium_scope(Scope.COMMAND):
        birch = Institution.objects.get(slug="birch")
        return f"/en/applications/{start_application(institution=birch, by=cast.stranger, at=NOON).pk}/answers/use/"


CASES = {
    "profile": Case("viewer", lambda _: "/en/accounts/profile/", {"name": "Vera", "language": "fr"}),
    "invitation": Case(
        "owner", lambda _: "/en/i/cedar/people/", {"email": "new@cedar.example", "role": "viewer", "language": "fr"}
    ),
    "role": Case("owner", seat_url, {"role": "technical"}),
    "token": Case("owner", lambda _: "/en/i/cedar/tokens/", {"name": "x", "permissions": "view_hubs", "days": "30"}),
    "application": Case("stranger", application_url, {key: str(value) for key, value in ANSWERS.items()}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_form_does_not_ask_changes_nothing(cast: Cast, birch: Institution, name: str) -> None:
    case, ends = CASES[name], []
    url, browser = case.url(cast), signed_in(cast.person(case.who))
    with consortium_scope(Scope.COMMAND):
        before = state()
    for extra in ({}, hostile(cast)):
        with time_machine.travel(NOON, tick=False), transaction.atomic():
            answer = browser.post(url, {**extra, **case.form})
            assert answer.status_code in {200, 302}, answer.content.decode()
            with consortium_scope(Scope.COMMAND):
                ends.append(state())
            transaction.set_rollback(True)
    assert ends[0] != before, "the form does something"
    assert ends[1] == ends[0]


def test_an_ownership_offer_takes_its_giver_and_state_from_nobody(cast: Cast) -> None:
    form = hostile(cast) | {"person": str(cast.viewer.pk), "keeps_role": "viewer"}
    assert signed_in(cast.owner).post("/en/i/cedar/people/ownership/", form).status_code == 302
    with consortium_scope(Scope.COMMAND):
        offer = apps.get_model("members", "OwnershipOffer").objects.get()
    assert (offer.offered_by, offer.offered_to, offer.status) == (cast.owner, cast.viewer, "offered")
    assert offer.institution == cast.university


def test_the_admin_page_of_a_person_changes_only_what_it_shows(cast: Cast) -> None:
    root = User.objects.create_superuser("root@people.example")
    form = hostile(cast) | {"name": "Vera", "language": "fr", "is_active": "on"}
    url = f"/en/staff/members/user/{cast.viewer.pk}/change/"
    assert signed_in(root).post(url, form).status_code == 302
    person = User.objects.get(pk=cast.viewer.pk)
    assert (person.email, person.is_staff, person.is_superuser, person.password) == (
        cast.viewer.email, False, False, cast.viewer.password,
    )  # fmt: skip


def _subclasses(kind: type) -> set[type]:
    found: set[type] = set(kind.__subclasses__())
    return found.union(*(_subclasses(each) for each in found))


def test_every_form_of_a_model_names_its_fields() -> None:
    ours = [each for each in _subclasses(forms.ModelForm) if each.__module__.split(".")[0] in {*OURS, "consortium"}]
    assert Application in {each._meta.model for each in ours}  # type: ignore[attr-defined]
    for form in ours:
        if form._meta.model is None:  # type: ignore[attr-defined]
            continue  # a base of others
        assert isinstance(form._meta.fields, tuple | list), form  # type: ignore[attr-defined]
        assert not form._meta.exclude, form  # type: ignore[attr-defined]

"""Setting sign-on up: nothing is turned on that a real sign-in did not test, and what is live stays as tested."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.states import TransitionRefused
from consortium.kernel.tenancy import Scope, consortium_scope, institution_scope
from consortium.models import OutgoingMail
from members.models import SignOn, SignOnTest
from members.sign_on.claims import Claims, masked
from members.sign_on.configuring import (
    NotTested,
    NoVerifiedDomain,
    choose_affiliations,
    client_secret,
    enable_sign_on,
    enforce_sign_on,
    live_sign_on,
    record_test,
    relax_sign_on,
    save_sign_on,
    stop_sign_on,
)
from members.sign_on.errors import SignOnRefused
from members.sign_on.fetching import fetch_json, is_allowed_url
from tests.cast import Cast
from tests.integration.members.identity_providers import ENTITY_ID, SSO_URL, SamlIdp
from tests.integration.members.sign_on_story import WHOLE, live_saml, verified_domain
from tests.unit.members.story import deliver

OIDC = {"kind": "oidc", "issuer": "https://login.cedar.example", "client_id": "portal"}


@pytest.fixture(autouse=True)
def scope(db: None) -> Any:
    with consortium_scope(Scope.COMMAND):
        yield


def draft(cast: Cast, at: datetime, secret: str = "s3cret", **more: Any) -> SignOn:
    return save_sign_on(institution=cast.university, values=OIDC | more, secret=secret, by=cast.technical, at=at)


def passed(row: SignOn, cast: Cast, at: datetime, **less: Any) -> SignOnTest:
    claims = Claims(issuer=row.issuer, idp=row.idp, **(WHOLE | less))
    test = record_test(row, claims, by=cast.technical, at=at)
    row.refresh_from_db()
    return test


def test_only_what_was_tested_is_turned_on(cast: Cast, at: datetime) -> None:
    row = draft(cast, at)
    with pytest.raises(NotTested):
        enable_sign_on(row, by=cast.technical, at=at)
    assert passed(row, cast, at, email="").missing == ["email"]
    with pytest.raises(NotTested):
        enable_sign_on(row, by=cast.technical, at=at)
    assert passed(row, cast, at).passed
    enable_sign_on(row, by=cast.technical, at=at)
    assert live_sign_on(cast.university.pk) == row
    deliver(at)
    assert list(OutgoingMail.objects.values_list("recipient", "template")) == [(cast.owner.email, "members_sign_on")]


@pytest.mark.parametrize("word", ["subject", "email", "name", "affiliations"])
def test_a_test_names_what_is_missing(cast: Cast, at: datetime, word: str) -> None:
    row = draft(cast, at)
    test = passed(row, cast, at, **{word: () if word == "affiliations" else ""})
    assert test.missing == [word.removesuffix("s")]
    assert row.status == "draft"


def test_without_joining_no_affiliation_is_needed(cast: Cast, at: datetime) -> None:
    row = draft(cast, at)
    choose_affiliations(row, affiliations=[], by=cast.owner, at=at)
    assert passed(row, cast, at, affiliations=()).passed


@pytest.mark.parametrize(
    "change", [{"issuer": "https://other.example"}, {"client_id": "other"}, {"secret": "new"}, {"ask_mfa": True}]
)
def test_any_change_needs_a_new_test(cast: Cast, at: datetime, change: dict[str, Any]) -> None:
    row = draft(cast, at)
    passed(row, cast, at)
    again = draft(cast, at, **({"secret": "s3cret"} | change))
    assert (again.pk, again.status, again.tested_digest) == (row.pk, "draft", "")


def test_a_test_that_fails_later_takes_its_word_back(cast: Cast, at: datetime) -> None:
    row = draft(cast, at)
    passed(row, cast, at)
    passed(row, cast, at, name="")
    assert row.status == "draft"


def test_saving_the_same_again_keeps_the_test_and_an_empty_secret_the_secret(cast: Cast, at: datetime) -> None:
    row = draft(cast, at)
    passed(row, cast, at)
    assert draft(cast, at, secret="").status == "tested"
    assert client_secret(row) == "s3cret"
    assert "s3cret" not in row.sealed_secret


def test_a_change_of_what_is_live_is_prepared_beside_it_and_then_takes_over(
    cast: Cast, saml_idp: SamlIdp, at: datetime
) -> None:
    old = live_saml(cast, saml_idp, at, enforced=True)
    new = draft(cast, at)
    assert live_sign_on(cast.university.pk) == old
    passed(new, cast, at)
    enable_sign_on(new, by=cast.technical, at=at)
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.status, new.status) == ("off", "enforced")  # what was required stays required


def test_requiring_it_needs_a_domain(cast: Cast, at: datetime) -> None:
    row = draft(cast, at)
    passed(row, cast, at)
    enable_sign_on(row, by=cast.technical, at=at)
    with pytest.raises(NoVerifiedDomain):
        enforce_sign_on(row, by=cast.owner, at=at)
    verified_domain(cast, at)
    enforce_sign_on(row, by=cast.owner, at=at)
    relax_sign_on(row, by=cast.owner, at=at)
    stop_sign_on(row, by=cast.owner, at=at)
    with pytest.raises(TransitionRefused):
        enforce_sign_on(row, by=cast.owner, at=at)


@pytest.mark.parametrize("name", ["finance", "viewer", "outsider", "stranger", "staff"])
def test_nobody_else_touches_it(cast: Cast, at: datetime, name: str) -> None:
    row, by = draft(cast, at), cast.person(name)
    acts: list[Callable[[], object]] = [
        lambda: save_sign_on(institution=cast.university, values=OIDC, secret="x", by=by, at=at),
        lambda: record_test(row, Claims(issuer="x"), by=by, at=at),
        lambda: enable_sign_on(row, by=by, at=at),
        lambda: enforce_sign_on(row, by=by, at=at),
        lambda: relax_sign_on(row, by=by, at=at),
        lambda: stop_sign_on(row, by=by, at=at),
        lambda: choose_affiliations(row, affiliations=["staff"], by=by, at=at),
    ]
    for act in acts:
        with pytest.raises(Forbidden):
            act()
    with pytest.raises(Forbidden):
        choose_affiliations(row, affiliations=["staff"], by=cast.technical, at=at)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "ldap"}, "kind"),
        ({"issuer": "http://login.cedar.example"}, "issuer"),
        ({"issuer": "https://user:pw@login.cedar.example"}, "issuer"),
        ({"issuer": "https://" + "x" * 150}, "issuer"),
        ({"client_id": ""}, "client_id"),
        ({"secret": ""}, "secret"),
        ({"kind": "cilogon", "issuer": "", "idp": ""}, "idp"),
        ({"kind": "saml", "issuer": ""}, "issuer"),
        ({"kind": "saml", "sso_url": "javascript:alert(1)"}, "sso_url"),
        ({"kind": "saml", "sso_url": SSO_URL, "certificates": "nonsense"}, "certificates"),
    ],
)
def test_values_that_cannot_work_are_refused_at_their_field(
    cast: Cast, at: datetime, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        draft(cast, at, **values)
    assert refused.value.field == field


def test_an_expired_certificate_is_refused(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    values = {"kind": "saml", "issuer": ENTITY_ID, "sso_url": SSO_URL, "certificates": saml_idp.certificate}
    with pytest.raises(Invalid, match="expired"):
        save_sign_on(institution=cast.university, values=values, by=cast.technical, at=at.replace(year=at.year + 5))


def test_cilogon_is_itself_and_names_the_universitys_provider(cast: Cast, at: datetime) -> None:
    row = draft(cast, at, kind="cilogon", issuer="", idp="https://idp.cedar.example/shibboleth")
    assert row.issuer == "https://cilogon.org"
    test = record_test(row, Claims(issuer=row.issuer, idp="urn:google", **WHOLE), by=cast.owner, at=at)  # type: ignore[arg-type]
    assert test.missing == ["idp"]


def test_postgresql_refuses_what_the_code_would_not_write(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_row = live_saml(cast, saml_idp, at)
    row = draft(cast, at)
    mine = SignOn.objects.filter(pk=row.pk)
    theirs = SignOn.objects.filter(pk=live_row.pk)
    changes: list[tuple[Any, dict[str, Any]]] = [
        (mine, {"status": "tested"}),  # without a test of this digest
        (mine, {"status": "enabled"}),
        (mine, {"join_affiliations": ["student"]}),
        (mine, {"join_affiliations": ["staff", "member"]}),
        (theirs, {"join_affiliations": ["member"]}),
        (theirs, {"issuer": "https://other.example"}),
        (theirs, {"certificates": "other"}),
        (theirs, {"tested_digest": "x"}),
        (theirs, {"status": "draft"}),
        (mine, {"kind": "cilogon"}),
        (mine, {"sealed_secret": ""}),
        (mine, {"kind": "ldap"}),
    ]
    for rows, values in changes:
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(**values)
    mine.update(status="tested", tested_digest=row.digest)
    with pytest.raises(IntegrityError, match="signon_one_live"), transaction.atomic():
        mine.update(status="enabled")
    with pytest.raises(IntegrityError), transaction.atomic():
        theirs.delete()
    for act in (lambda: SignOnTest.objects.update(passed=False), lambda: SignOnTest.objects.all().delete()):
        with pytest.raises(IntegrityError), transaction.atomic():
            act()


def test_configurations_belong_to_their_institution_alone(cast: Cast, saml_idp: SamlIdp, at: datetime) -> None:
    live_saml(cast, saml_idp, at)
    with institution_scope(cast.other_university.pk):
        assert not SignOn.objects.exists()
        assert not SignOnTest.objects.exists()


def test_a_test_keeps_no_more_than_it_needs() -> None:
    released = {
        "mail": ("ana@cedar.example",),
        "affiliation": ("staff@cedar.example",),
        "sub": ("1234567",),
        "x": ("",),
    }
    kept = masked(Claims(issuer="i", released=released))
    assert kept == {"mail": ["a…@cedar.example"], "affiliation": ["staff@cedar.example"], "sub": ["1…"], "x": [""]}


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://localhost:1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://0.0.0.0/",
        "https://192.168.1.1/",
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
    ],
)
def test_no_configuration_makes_the_portal_read_what_only_it_can_reach(url: str) -> None:
    with pytest.raises(SignOnRefused) as refused:
        fetch_json(url)
    assert "not a public address" in refused.value.reason or "may not be fetched" in refused.value.reason
    assert not is_allowed_url("https://a.example/#b")

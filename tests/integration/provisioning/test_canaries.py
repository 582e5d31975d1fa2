"""Secrets of a hub that is made, changed, moved and proven: looked for in every place where they must not be."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from consortium.kernel import jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning import views
from provisioning.clusters import access_of
from provisioning.drivers import driver_for, target_of
from provisioning.gateways.base import HubTarget
from provisioning.models import Hub
from provisioning.requests import revise_hub, spec_of
from provisioning.service_level.proving import prove_hub
from tests.cast import Cast
from tests.cluster.server import TOKEN
from tests.cluster.site import KubernetesSite
from tests.integration.provisioning.test_clusters_of_two_kinds import fresh, watched_processes, worked
from tests.integration.provisioning.test_moving import SLUG, cast, cluster_of, new, old, running, wanted_move, work_of
from tests.integration.provisioning.test_real_hub import everything_stored
from tests.unit.provisioning.test_specs import OIDC

pytestmark = pytest.mark.slow
__all__ = ["cast", "new", "old"]

CLIENT_SECRET = "canary-client-secret-4d1f"


def outside_secrets(site: KubernetesSite) -> str:
    """All objects of a cluster but its Secrets, which are where secrets belong."""
    return json.dumps([one for key, one in site.store.objects.items() if key.plural != "secrets"])


def files_below(folder: Path) -> str:
    """What the portal keeps on its disk, the cluster's own volumes apart."""
    kept = [path for path in folder.rglob("*") if path.is_file() and "volumes" not in path.parts]
    return "\n".join(path.read_bytes().decode(errors="replace") for path in kept)


def test_secrets_of_a_hub_that_moves_appear_nowhere(
    cast: Cast,
    old: KubernetesSite,
    new: KubernetesSite,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    commands, texts = watched_processes(monkeypatch)
    hinted: list[Any] = []
    monkeypatch.setattr(jobs, "_hint", [hinted.append])
    tokens = carriers_tokens(monkeypatch)
    first, second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    hub = running(cast, first)
    passwords = {old.password(target_of(hub), "bob"), old.driver.password(target_of(hub), of_admin=True)}
    work_of("bob", hub, old.password(target_of(hub), "bob"))
    hub = with_university_sign_on(hub, cast, old)
    _move, job = wanted_move(hub, second, cast)
    assert worked(job).state == "succeeded"
    hub = fresh(hub)
    check = prove_hub(hub, at=now())
    assert check is not None
    assert check.ok
    of_hub = set(new.hubs.configuration(f"hub-{SLUG}")["tokens"].values())
    canaries = {TOKEN, CLIENT_SECRET, *passwords, *of_hub, *tokens}
    assert len(canaries) == 8, "the clusters', the client's, two passwords, two services', two carriers'"

    driver = driver_for(second)
    places = {
        "arguments and environments of processes": "\n".join(commands),
        "values for Helm": "\n".join(texts),
        "releases": old.release_texts(target_of(hub)) + new.release_texts(target_of(hub)),
        "clusters outside their Secrets": outside_secrets(old) + outside_secrets(new),
        "the log": caplog.text,
        "the database": everything_stored(),
        "arguments of queued tasks": repr(hinted),
        "the portal's disk": files_below(Path(settings.PORTAL_HOME)),
        "what objects say of themselves": repr(driver) + repr(vars(driver)) + repr(access_of(second)),
        "what is handed over": repr(driver.sign_on_secrets(HubTarget(slug=SLUG, generation=hub.generation))),  # type: ignore[attr-defined]
        "the page of an error": page_of_an_error(cast, hub, monkeypatch),
    }
    empty = {name for name, text in places.items() if not text}
    assert empty <= {"the portal's disk"}, "each was looked at, and a move leaves nothing on the disk"
    assert [(name, canary) for name, text in places.items() for canary in canaries if canary in text] == []


def with_university_sign_on(hub: Hub, cast: Cast, site: KubernetesSite) -> Hub:
    """The hub with its university's sign-on in place of passwords."""
    with consortium_scope(Scope.STAFF):
        spec = spec_of(hub.revisions.get()).model_copy(update={"sign_on": OIDC})
        site.driver.store_client_secret(target_of(hub), spec, CLIENT_SECRET)
        job = revise_hub(hub, spec=spec, note="", by=cast.technical, at=now())
    assert worked(job).state == "succeeded"
    return fresh(hub)


def carriers_tokens(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The tokens by which homes are fetched and brought, as they are used."""
    from provisioning.gateways.kubernetes import homes  # noqa: PLC0415 - what is watched

    seen: set[str] = set()
    prepare: Callable[..., str] = homes._prepare

    def watched(*given: Any) -> str:
        token = prepare(*given)
        seen.add(token)
        return token

    monkeypatch.setattr(homes, "_prepare", watched)
    return seen


def page_of_an_error(cast: Cast, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a member sees when the hub's page breaks with secrets in its hands."""

    def breaks(*_given: Any, **_more: Any) -> None:
        held = {"token": TOKEN, "secret": CLIENT_SECRET}
        raise RuntimeError(f"broken with {held}")

    monkeypatch.setattr(views, "hub_view", breaks)
    client = Client(headers={"host": "localhost"}, raise_request_exception=False)
    client.force_login(cast.viewer, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(f"/en/i/{cast.university.slug}/hubs/{SLUG}/", secure=True)
    assert answer.status_code == 500
    return answer.text

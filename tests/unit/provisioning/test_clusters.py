"""Clusters: data that differs between clouds, credentials in envelopes, and what PostgreSQL refuses."""

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, transaction

from consortium.kernel.errors import Forbidden
from consortium.kernel.secrets import SecretUnreadable
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import AuditEvent
from provisioning.clusters import (
    ClusterIncomplete,
    KubeconfigRefused,
    NoCredentials,
    access_of,
    place_of,
    store_credentials,
)
from provisioning.drivers import DriverMissing, driver_for
from provisioning.gateways.kubernetes.driver import KubernetesDriver
from provisioning.models import Cluster, ClusterCredential
from tests.cast import Cast
from tests.cluster.certificates import loopback_certificate

TOKEN = "canary-token-5b7e"


@pytest.fixture(autouse=True)
def staff_scope(db: None) -> Iterator[None]:
    """The admin site's."""
    with consortium_scope(Scope.STAFF):
        yield


def kubeconfig(user: dict[str, Any] | None = None, **cluster: Any) -> str:
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://k8s.example:6443", **cluster}}],
            "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
        }
    )


def cluster(slug: str = "arbutus", **changes: Any) -> Cluster:
    given = {
        "name": slug.title(),
        "driver": "kubernetes",
        "provider": "openstack",
        "region": "ca-west",
        "hub_address": "https://{slug}.hubs.example/",
        "ingress_class": "traefik",
        "chart_reference": "/charts/jupyterhub.tgz",
        **changes,
    }
    return Cluster.objects.create(slug=slug, **given)


def test_credentials_are_sealed_for_their_cluster_and_open_again(cast: Cast, at: datetime) -> None:
    mine = cluster()
    row = store_credentials(mine, kubeconfig=kubeconfig(), by=cast.staff, at=at)
    assert TOKEN not in row.wrapped_key + row.sealed + repr(access_of(mine))
    assert (access_of(mine).token.get_secret_value(), mine.endpoint) == (TOKEN, "https://k8s.example:6443")
    assert isinstance(driver_for(mine), KubernetesDriver)
    event = AuditEvent.objects.get(action="provisioning.cluster_credentials_stored")
    assert event.after == {"credential": str(row.pk)}


def test_an_envelope_that_was_copied_to_another_cluster_does_not_open(cast: Cast, at: datetime) -> None:
    mine, other = cluster(), cluster("other")
    row = store_credentials(mine, kubeconfig=kubeconfig(), by=cast.staff, at=at)
    ClusterCredential.objects.create(cluster=other, wrapped_key=row.wrapped_key, sealed=row.sealed, made_at=at)
    with pytest.raises(SecretUnreadable, match="another row"):
        access_of(other)


def test_the_sealed_text_of_one_cluster_does_not_open_with_the_key_of_another(cast: Cast, at: datetime) -> None:
    rows = [store_credentials(cluster(slug), kubeconfig=kubeconfig(), by=cast.staff, at=at) for slug in ("a", "b")]
    ClusterCredential.objects.filter(pk=rows[0].pk).update(sealed=rows[1].sealed)
    with pytest.raises(SecretUnreadable, match="own key"):
        access_of(Cluster.objects.get(slug="a"))


def test_keys_rotate_without_a_moment_in_which_a_cluster_cannot_be_reached(
    cast: Cast, at: datetime, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = cluster()
    row = store_credentials(mine, kubeconfig=kubeconfig(), by=cast.staff, at=at)
    settings.FIELD_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_KEYS]
    assert access_of(mine).token.get_secret_value() == TOKEN
    call_command("rewrap_keys")
    assert capsys.readouterr().out == "1 wrapped with the newest of FIELD_KEYS\n"
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert access_of(mine).token.get_secret_value() == TOKEN, "the old key may go"
    assert ClusterCredential.objects.get(pk=row.pk).sealed == row.sealed, "the secret itself was not touched"


def test_new_credentials_replace_the_old_ones_in_one_moment(cast: Cast, at: datetime) -> None:
    mine = cluster()
    store_credentials(mine, kubeconfig=kubeconfig(), by=cast.staff, at=at)
    later = at + timedelta(days=90)
    store_credentials(mine, kubeconfig=kubeconfig({"token": "newer"}), by=cast.staff, at=later)
    assert access_of(mine).token.get_secret_value() == "newer"
    assert [row.retired_at for row in mine.credentials.order_by("made_at")] == [later, None]


def test_a_client_certificate_is_a_way_in_too(cast: Cast, at: datetime) -> None:
    mine = cluster()
    pair = [base64.b64encode(text.encode()).decode() for text in loopback_certificate()]
    both = {"client-certificate-data": pair[0], "client-key-data": pair[1]}
    store_credentials(mine, kubeconfig=kubeconfig(both), by=cast.staff, at=at)
    found = json.loads(access_of(mine).kubeconfig())["users"][0]["user"]
    assert found == both


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML in line"),
        ("just words", "paste the whole file"),
        (kubeconfig({"exec": {"command": "/bin/sh"}}), "running a program"),
        (kubeconfig({"tokenFile": "/etc/passwd"}), "names files"),
        (kubeconfig({"client-certificate": "/etc/passwd"}), "names files"),
        (kubeconfig({}), "neither a token nor a client certificate"),
        (kubeconfig(server="http://k8s.example"), "https"),
        (kubeconfig(None, **{"insecure-skip-tls-verify": True}), "does not verify"),
        (kubeconfig(None, **{"certificate-authority-data": "§"}), "not base64"),
        (kubeconfig({"client-certificate-data": "S0VZ", "client-key-data": "S0VZ"}), "cannot be read"),
        (yaml.safe_dump({"current-context": "x"}), "names no context"),
    ],
)
def test_a_kubeconfig_that_is_not_safe_is_refused_without_repeating_it(
    cast: Cast, at: datetime, text: str, said: str
) -> None:
    with pytest.raises(KubeconfigRefused, match=said) as refused:
        store_credentials(cluster(), kubeconfig=text, by=cast.staff, at=at)
    assert (refused.value.field, TOKEN in refused.value.message) == ("kubeconfig", False)
    assert not ClusterCredential.objects.exists()


def test_only_operators_store_credentials(cast: Cast, at: datetime) -> None:
    with pytest.raises(Forbidden):
        store_credentials(cluster(), kubeconfig=kubeconfig(), by=cast.owner, at=at)


def test_a_cluster_without_credentials_says_what_to_do() -> None:
    with pytest.raises(NoCredentials, match="Store a kubeconfig"):
        driver_for(cluster())


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"hub_address": ""}, "hub_address", "where its hubs answer"),
        ({"hub_address": "ftp://{slug}/"}, "hub_address", "match"),
        ({"chart_reference": ""}, "chart_reference", "Name the chart"),
        ({"gateway": "shared/web"}, "gateway", "not both"),
        ({"ingress_class": "", "gateway": "web"}, "gateway", "namespace/name"),
        ({"cost_tags": {"not a label": "x"}}, "cost_tags", "match"),
        ({"node_selector": ["pool"]}, "node_selector", "dictionary"),
        ({"storage_class": "Fast One"}, "storage_class", "match"),
    ],
)
def test_what_a_cluster_lacks_is_said_beside_its_field(changes: dict[str, Any], field: str, said: str) -> None:
    base = {"driver": "kubernetes", "hub_address": "https://{slug}.hubs.example/", "chart_reference": "/c.tgz"}
    wrong = Cluster(slug="x", name="X", ingress_class="traefik")
    for name, value in {**base, **changes}.items():
        setattr(wrong, name, value)
    with pytest.raises(ValidationError) as refused:
        wrong.clean()
    assert said in str(refused.value.message_dict[field])
    with pytest.raises(ClusterIncomplete, match="not complete"):
        place_of(wrong)


def test_a_kind_of_cluster_that_nothing_drives_is_named() -> None:
    with pytest.raises(DriverMissing, match="cannot drive yet"):
        driver_for(Cluster(slug="x", name="X", driver="nomad"))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"driver": "nomad"}, "cluster_driver"),
        ({"hub_address": "https://all.hubs.example/"}, "cluster_address_per_hub"),
        ({"hub_address": "https://{slug}.hubs.example"}, "cluster_address_per_hub"),
        ({"gateway": "shared/web"}, "cluster_one_way_in"),
        ({"chart_digest": "sha256:1"}, "cluster_chart_digest"),
    ],
)
def test_postgresql_refuses_what_no_cluster_can_be(changes: dict[str, Any], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        cluster(**changes)


def test_postgresql_refuses_two_credentials_in_use_and_dates_that_go_back(cast: Cast, at: datetime) -> None:
    row = store_credentials(cluster(), kubeconfig=kubeconfig(), by=cast.staff, at=at)
    again = {"cluster": row.cluster, "wrapped_key": "x", "sealed": "y", "made_at": at}
    with pytest.raises(IntegrityError, match="one_in_use"), transaction.atomic():
        ClusterCredential.objects.create(**again)
    with pytest.raises(IntegrityError, match="clustercredential_dates"), transaction.atomic():
        ClusterCredential.objects.create(**again, retired_at=at - timedelta(seconds=1))

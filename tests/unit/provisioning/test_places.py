"""What a cluster adds to a hub: the values for its chart, the objects around it, and whether real schemas take them."""

import warnings
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError

from provisioning.gateways.kubernetes.objects import guards, namespace_object, secret_object
from provisioning.places import Gateway, Place, url_of, values_on
from provisioning.specs import HubSpec
from tests.conftest import SHARED_DATA
from tests.unit.provisioning.test_specs import CILOGON, OIDC, spec, without_required

INGRESS = Place(
    hub_address="https://{slug}.hubs.example/", ingress_class="traefik", storage_class="fast",
    ingress_annotations={"cert-manager.io/cluster-issuer": "acme"}, node_selector={"pool": "hubs"},
    cost_tags={"consortium": "demo"},
)  # fmt: skip
GATEWAY = Place(
    hub_address="https://hubs.example/{slug}/", gateway=Gateway(name="web", namespace="shared"),
)  # fmt: skip
BARE = Place(hub_address="http://127.0.0.1:8080/{slug}/", ingress_class="nginx")


@pytest.mark.parametrize("place", [INGRESS, GATEWAY, BARE], ids=["ingress", "gateway", "bare"])
@pytest.mark.parametrize(
    "given",
    [spec(), spec(sign_on=OIDC, domain="hub.north.example"), spec(sign_on=CILOGON)],
    ids=["own", "oidc", "cilogon"],
)
def test_the_values_are_valid_by_the_real_charts_own_schema(given: HubSpec, place: Place) -> None:
    path = SHARED_DATA / "z2jh-values.schema.yaml"
    if not path.is_file():
        pytest.skip(f"the schema of Zero to JupyterHub is not beside this checkout ({path.name})")
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(without_required(schema)).validate(values_on(given, place))


def test_a_hub_answers_at_its_own_domain_or_at_its_place_on_the_cluster() -> None:
    assert url_of(spec(), INGRESS) == "https://north-uni.hubs.example/"
    assert url_of(spec(), GATEWAY) == "https://hubs.example/north-uni/"
    assert url_of(spec(domain="hub.north.example"), INGRESS) == "https://hub.north.example/"


def test_the_way_in_is_an_ingress_with_its_certificate_or_a_route_to_a_gateway() -> None:
    ingress = values_on(spec(), INGRESS)["ingress"]
    assert ingress == {
        "enabled": True, "ingressClassName": "traefik", "annotations": {"cert-manager.io/cluster-issuer": "acme"},
        "hosts": ["north-uni.hubs.example"],
        "tls": [{"hosts": ["north-uni.hubs.example"], "secretName": "north-uni-tls"}],
    }  # fmt: skip
    routed = values_on(spec(), GATEWAY)
    assert routed["ingress"] == {"enabled": False}
    assert routed["httpRoute"]["parentRefs"] == [{"name": "web", "namespace": "shared"}]
    assert routed["hub"]["baseUrl"] == "/north-uni/"
    assert values_on(spec(), BARE)["ingress"]["hosts"] == [], "an ingress routes names, not numbers"


def test_sign_on_comes_back_to_where_the_hub_answers() -> None:
    config = values_on(spec(sign_on=OIDC), GATEWAY)["hub"]["config"]["GenericOAuthenticator"]
    assert config["oauth_callback_url"] == "https://hubs.example/north-uni/hub/oauth_callback"


def test_homes_and_the_hubs_database_are_where_the_cluster_keeps_such_things() -> None:
    values = values_on(spec(), INGRESS)
    assert values["singleuser"]["storage"]["dynamic"] == {"storageClass": "fast"}
    assert values["hub"]["db"]["pvc"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert values["singleuser"]["nodeSelector"] == values["hub"]["nodeSelector"] == {"pool": "hubs"}
    assert values["hub"]["labels"]["consortium"] == "demo"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hub_address": "https://all.example/"}, "one address"),
        ({"hub_address": "https://{slug}.example"}, "slash"),
        ({"gateway": Gateway(name="web", namespace="shared")}, "not both"),
    ],
)
def test_a_place_that_cannot_be_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Place(**{**INGRESS.model_dump(), **changes})


def test_what_stands_around_a_hub_is_valid_by_kubernetes_own_schemas() -> None:
    given = spec(max_servers=100, named_servers_per_user=1, expected_users=400)
    made = [namespace_object(given, INGRESS), *guards(given).values(), secret_object(given, {"hub": {}})]
    for body in made:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kubernetes_validate.validate(body, "1.37", strict=True)
    quota = next(body for body in made if body["kind"] == "ResourceQuota")["spec"]["hard"]
    assert quota["pods"] == "130"
    assert quota["requests.memory"] == f"{6144 + 100 * 512}Mi"
    assert quota["requests.cpu"] == "11"
    assert int(quota["persistentvolumeclaims"]) >= 400 * 2, "quotas must not keep people from their homes"
    assert quota["services.loadbalancers"] == "0"

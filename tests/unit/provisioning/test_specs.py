from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from provisioning.specs import (
    CILogonSignOn,
    Cull,
    HubSpec,
    LocalSignOn,
    OidcSignOn,
    SignOn,
    Size,
    existing_secret_name,
    image_name_and_tag,
    render_values,
    spec_hash,
)

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: the values cannot be checked")

SCHEMA = Path(__file__).resolve().parents[4] / "shared" / "data" / "z2jh-values.schema.yaml"
DIGEST = "sha256:" + "0123456789abcdef" * 4

LOCAL = LocalSignOn(allowed_users=frozenset({"ada", "bob"}), admins=frozenset({"ada"}))
OIDC = OidcSignOn(
    client_id="hub",
    authorize_url="https://login.example/authorize",
    token_url="https://login.example/token",
    userdata_url="https://login.example/userinfo",
    allowed_groups=frozenset({"student", "staff"}),
)
CILOGON = CILogonSignOn(
    client_id="cilogon:/client_id/1",
    idp_entity_id="https://idp.north.example/shibboleth",
    allowed_domains=frozenset({"north.example"}),
)


def spec(**changes: Any) -> HubSpec:
    given: dict[str, Any] = {
        "slug": "north-uni",
        "display_name": "North University",
        "image": "registry.example/notebook:2026-10-01",
        "sign_on": LOCAL,
        **changes,
    }
    return HubSpec(**given)


def without_required(schema: Any) -> Any:
    """Helm validates our values merged with the chart's own; alone they need not be complete, only right."""
    if isinstance(schema, dict):
        return {key: without_required(value) for key, value in schema.items() if key != "required"}
    return [without_required(item) for item in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(spec(), id="local"),
        pytest.param(spec(sign_on=OIDC, domain="hub.north.example", named_servers_per_user=2), id="oidc"),
        pytest.param(
            spec(sign_on=CILOGON, environment="bespoke", image=f"registry.example/own@{DIGEST}"), id="cilogon"
        ),
        pytest.param(spec(cost_labels={"consortium": "demo", "university": "north"}), id="labels"),
    ],
)
def test_rendered_values_are_valid_by_the_charts_own_schema(given: HubSpec) -> None:
    if not SCHEMA.is_file():
        pytest.skip(f"the chart's schema is not at {SCHEMA}")
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))

    jsonschema.Draft7Validator(without_required(schema)).validate(render_values(given))


def test_a_hub_has_no_load_balancer_of_its_own() -> None:
    assert render_values(spec())["proxy"]["service"]["type"] == "ClusterIP"


def test_secrets_stand_in_the_hubs_own_secret_and_not_in_its_values() -> None:
    values = render_values(spec(sign_on=OIDC))

    assert values["hub"]["existingSecret"] == existing_secret_name(spec()) == "north-uni-portal"
    assert "client_secret" not in str(values)


def test_the_portals_service_may_only_meter() -> None:
    role = render_values(spec())["hub"]["loadRoles"]["portal"]

    assert role == {
        "services": ["portal"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "read:hub"],
    }


def test_the_check_may_only_work_as_the_synthetic_user() -> None:
    roles = render_values(spec())["hub"]["loadRoles"]

    assert roles["portal-check"] == {
        "services": ["portal-check"],
        "users": ["portal-check"],
        "scopes": [
            "read:users:name!user=portal-check", "servers!user=portal-check", "access:servers!user=portal-check"
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sign_on", "authenticator", "path", "rule"),
    [
        (LOCAL, "shared-password", ("Authenticator", "allowed_users"), ["ada", "bob", "portal-check"]),
        (OIDC, "generic-oauth", ("GenericOAuthenticator", "allowed_groups"), ["staff", "student"]),
        (
            CILOGON,
            "cilogon",
            ("CILogonOAuthenticator", "allowed_idps"),
            {
                "https://idp.north.example/shibboleth": {
                    "username_derivation": {"username_claim": "eppn"},
                    "allowed_domains": ["north.example"],
                }
            },
        ),
    ],
    ids=["local", "oidc", "cilogon"],
)
def test_every_sign_on_names_whom_it_admits(
    sign_on: SignOn, authenticator: str, path: tuple[str, str], rule: object
) -> None:
    config = render_values(spec(sign_on=sign_on))["hub"]["config"]

    assert config["JupyterHub"]["authenticator_class"] == authenticator
    assert config[path[0]][path[1]] == rule


def test_size_storage_and_culling_stand_where_the_chart_reads_them() -> None:
    values = render_values(
        spec(
            size=Size(memory_guarantee_mib=384, memory_limit_mib=1536, cpu_guarantee_millis=50, cpu_limit_millis=4000),
            storage_per_user_gib=20,
            max_servers=80,
            cull=Cull(timeout_seconds=1800, every_seconds=120, max_age_seconds=86400),
            default_url="/rstudio",
        )
    )

    assert values["singleuser"]["memory"] == {"guarantee": "384M", "limit": "1536M"}
    assert values["singleuser"]["cpu"] == {"guarantee": 0.05, "limit": 4.0}
    assert values["singleuser"]["storage"]["capacity"] == "20Gi"
    assert values["singleuser"]["defaultUrl"] == "/rstudio"
    assert values["hub"]["activeServerLimit"] == 80
    assert values["cull"] == {"enabled": True, "timeout": 1800, "every": 120, "maxAge": 86400}


def test_cost_labels_are_on_the_hub_its_servers_and_its_storage() -> None:
    values = render_values(spec(cost_labels={"university": "north"}))

    expected = {"university": "north", "hub": "north-uni"}
    places = (
        values["hub"]["labels"],
        values["proxy"]["labels"],
        values["singleuser"]["extraLabels"],
        values["singleuser"]["storage"]["extraLabels"],
    )
    assert all(labels == expected for labels in places)


@pytest.mark.parametrize(
    ("image", "name_and_tag"),
    [
        ("registry.example/a/b:1.0", ("registry.example/a/b", "1.0")),
        ("localhost:5000/b:t", ("localhost:5000/b", "t")),
        (f"registry.example/b:t@{DIGEST}", ("registry.example/b", f"t@{DIGEST}")),
        (f"registry.example/b@{DIGEST}", ("registry.example/b@sha256", DIGEST.removeprefix("sha256:"))),
    ],
)
def test_an_image_reference_survives_the_charts_join_of_name_and_tag(image: str, name_and_tag: tuple[str, str]) -> None:
    assert image_name_and_tag(image) == name_and_tag
    assert ":".join(name_and_tag) == image


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slug": "../etc"}, "slug"),
        ({"slug": "North"}, "slug"),
        ({"image": "registry.example/notebook"}, "needs a tag or a digest"),
        ({"image": "registry.example/notebook:1\n"}, "needs a tag or a digest"),
        ({"environment": "bespoke"}, "must be named by its digest"),
        ({"default_url": "lab"}, "default_url"),
        ({"cost_labels": {"hub": "has space"}}, "cost_labels"),
        ({"size": {"memory_guarantee_mib": 2048, "memory_limit_mib": 1024}}, "memory guarantee is larger"),
        ({"size": {"cpu_guarantee_millis": 2000, "cpu_limit_millis": 1000}}, "CPU guarantee is larger"),
        ({"sign_on": {"kind": "local", "allowed_users": []}}, "allowed_users"),
        ({"sign_on": {"kind": "local", "allowed_users": ["../ada"]}}, "allowed_users"),
        ({"sign_on": {**OIDC.model_dump(), "allowed_groups": []}}, "nobody could sign in"),
        ({"sign_on": {**CILOGON.model_dump(), "allowed_domains": []}}, "nobody could sign in"),
        ({"sign_on": {"kind": "dummy"}}, "sign_on"),
        ({"gpu": 1}, "gpu"),
    ],
)
def test_a_spec_that_could_not_work_is_refused_with_the_reason(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        spec(**changes)


def test_equal_specs_have_equal_hashes_whatever_the_order_they_were_written_in() -> None:
    one = spec(sign_on=LocalSignOn(allowed_users=frozenset(["ada", "bob", "eve"])), cost_labels={"a": "1", "b": "2"})
    other = spec(sign_on=LocalSignOn(allowed_users=frozenset(["eve", "bob", "ada"])), cost_labels={"b": "2", "a": "1"})

    assert spec_hash(one) == spec_hash(other)
    assert spec_hash(HubSpec.model_validate_json(one.model_dump_json())) == spec_hash(one)
    assert len(spec_hash(one)) == 64


def test_any_other_spec_has_another_hash() -> None:
    others = [
        spec(max_servers=51),
        spec(display_name="North"),
        spec(cull=Cull(timeout_seconds=61)),
        spec(sign_on=LocalSignOn(allowed_users=frozenset({"ada"}))),
    ]
    assert len({spec_hash(one) for one in [spec(), *others]}) == 5


def test_a_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        spec().max_servers = 3

"""The proof that people can work on a hub of a cluster, also where they sign on through their university."""

from collections.abc import Iterator

import pytest

from provisioning.gateways.base import GatewayError, HubTarget, ProofImpossibleError
from provisioning.gateways.jupyterhub.student import StudentSession
from provisioning.specs import HubSpec, SignOn
from tests.cluster.merging import merged
from tests.cluster.site import KubernetesSite, kubernetes_site
from tests.unit.provisioning.test_specs import CILOGON, OIDC
from tests.verification.local_hubs import SPEC

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesSite]:
    with kubernetes_site(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def made(site: KubernetesSite, slug: str, sign_on: SignOn) -> tuple[HubTarget, HubSpec]:
    target = HubTarget(slug=slug, generation=1)
    spec = SPEC.model_copy(update={"slug": slug, "sign_on": sign_on, "max_servers": 1})
    site.driver.store_client_secret(target, spec, "canary-client-secret")
    assert site.driver.ensure(target, spec).healthy
    return target, spec


@pytest.mark.parametrize("sign_on", [OIDC, CILOGON], ids=["oidc", "cilogon"])
def test_a_hub_with_the_universitys_sign_on_is_proven_without_anybodys_password(
    site: KubernetesSite, sign_on: SignOn
) -> None:
    target, _ = made(site, f"proof-{sign_on.kind}", sign_on)
    steps: list[str] = []

    site.driver.prove(target, lambda step, _message: steps.append(step))

    assert steps == ["sign_in", "start", "write"]
    assert "portal-check" in site.homes(target)
    assert site.driver.sample(target) == []


def test_the_token_of_the_check_is_good_for_nobody_elses_server(site: KubernetesSite) -> None:
    target, spec = made(site, "proof-narrow", OIDC)
    token = site.hubs.configuration(f"hub-{spec.slug}")["tokens"]["portal-check"]
    with StudentSession(site.driver.observe(target).url) as visitor:
        visitor.use_token("ada", token)
        with pytest.raises(GatewayError, match="403"):
            visitor.start_server()


def test_a_hub_on_which_nobody_can_work_says_at_which_step(site: KubernetesSite) -> None:
    target, spec = made(site, "proof-full", SPEC.sign_on)
    with StudentSession(site.driver.observe(target).url) as ada:
        ada.sign_in("ada", site.password(target, "ada"))
        ada.start_server()
        steps: list[str] = []
        with pytest.raises(GatewayError, match="429"):
            site.driver.prove(target, lambda step, _message: steps.append(step))
    assert steps == ["sign_in", "start"], f"{spec.max_servers} server is all that it allows"


def test_a_hub_that_was_made_before_the_check_is_neither_good_nor_bad(site: KubernetesSite) -> None:
    target, _ = made(site, "proof-older", OIDC)
    secret = site.key(target, "v1", "secrets", "hub")
    without = {"data": {"hub.services.portal-check.apiToken": None}}
    site.store.patch(secret, lambda live: merged(live, without), manager="test", dry_run=False)

    with pytest.raises(ProofImpossibleError, match="reconcile it once"):
        site.driver.prove(target)

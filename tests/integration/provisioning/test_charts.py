"""Charts: the digest that is pinned, the schema that is asked, and what the real Helm makes of them."""

import shutil
import subprocess
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from provisioning.gateways.base import GatewayError, HubTarget
from provisioning.gateways.kubernetes.chart import ChartReference, Charts, archive_digest
from provisioning.gateways.kubernetes.driver import KubernetesDriver
from provisioning.places import Place, values_on
from tests.cluster.site import CHART, HELM, KubernetesSite, kubernetes_site
from tests.verification.local_hubs import SPEC

PLACE = Place(hub_address="https://{slug}.hubs.example/", ingress_class="traefik")


@pytest.fixture
def charts(tmp_path: Path) -> Charts:
    return Charts(HELM, tmp_path / "cache")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KubernetesSite]:
    with kubernetes_site(tmp_path) as made:
        yield made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "jupyterhub-fixture-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as packed:
        packed.add(CHART, arcname="jupyterhub-fixture")
    return path


def test_a_folder_and_an_archive_of_it_are_the_same_chart(charts: Charts, archive: Path) -> None:
    folder = charts.find(ChartReference(reference=str(CHART)))
    packed = charts.find(ChartReference(reference=str(archive), digest=archive_digest(archive)))
    assert (folder.name, folder.version, folder.values, folder.schema) == (
        packed.name, packed.version, packed.values, packed.schema,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"digest": "0" * 64}, "not the one that is pinned"),
        ({"version": "4.4.2"}, "it is version 1.0.0, not 4.4.2"),
        ({"reference": "/nowhere/chart"}, "no such folder or archive"),
        ({"reference": "oci://charts.example/jupyterhub"}, "needs its digest"),
    ],
)
def test_another_chart_than_the_pinned_one_is_refused(charts: Charts, changes: dict[str, str], said: str) -> None:
    with pytest.raises(GatewayError, match=said) as refused:
        charts.find(ChartReference(**{"reference": str(CHART), **changes}))
    assert refused.value.permanent


def test_a_folder_that_changed_has_another_digest(tmp_path: Path) -> None:
    copy = tmp_path / "chart"
    shutil.copytree(CHART, copy)
    before = archive_digest(copy)
    assert before == archive_digest(CHART)
    (copy / "templates" / "extra.yaml").write_text("# one more\n")
    assert archive_digest(copy) != before


def test_what_is_no_chart_is_said_to_be_none(charts: Charts, tmp_path: Path) -> None:
    for name, content in (("empty.tgz", b""), ("text.tgz", b"not an archive at all")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(GatewayError, match="not a Helm chart"):
            charts.find(ChartReference(reference=str(tmp_path / name)))


def test_values_that_the_chart_does_not_take_stop_the_work_before_anything_moves(
    site: KubernetesSite, tmp_path: Path
) -> None:
    strict = tmp_path / "strict"
    shutil.copytree(CHART, strict)
    schema = strict / "values.schema.json"
    schema.write_text(schema.read_text().replace('"activeServerLimit": {"type": ["integer", "null"]},', ""))
    driver = KubernetesDriver(
        site.access, place=site.place, chart=ChartReference(reference=str(strict)), helm=HELM, charts=tmp_path
    )
    target = HubTarget(slug=SPEC.slug, generation=1)
    with pytest.raises(GatewayError, match=r"does not take hub: .*activeServerLimit") as refused:
        driver.ensure(target, SPEC)
    assert refused.value.permanent
    assert site.everything(target) == set()


def test_what_helm_renders_is_valid_by_kubernetes_own_schemas(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(values_on(SPEC, PLACE)))
    command = [str(HELM), "template", SPEC.slug, str(CHART), "--values", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    bodies = [body for body in yaml.safe_load_all(done.stdout) if body]
    assert {body["kind"] for body in bodies} >= {"Deployment", "Service", "Ingress", "NetworkPolicy", "Secret"}
    for body in bodies:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kubernetes_validate.validate(body, "1.37", strict=True)
    assert [body["spec"]["type"] for body in bodies if body["kind"] == "Service"] == ["ClusterIP"] * 3

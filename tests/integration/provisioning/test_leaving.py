"""A hub is set up elsewhere from what its university takes along: real Helm on a cluster, real processes here."""

import csv
import io
import json
import tarfile
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.conf import settings
from django.core.management import call_command
from pypdf import PdfReader

from consortium.kernel import documents, jobs
from consortium.kernel.clock import now
from consortium.kernel.tenancy import Scope, consortium_scope
from consortium.models import Document, Job
from provisioning.drivers import target_of
from provisioning.gateways.base import HubState, HubTarget
from provisioning.gateways.local.bundle import write_bundle
from provisioning.gateways.local.homes import pack_homes
from provisioning.leaving.bundle import complete, damaged_files, files_of, users_csv
from provisioning.leaving.drill import DrillRefusedError, Report, rehearse
from provisioning.lifecycle import retire_hub
from provisioning.models import Hub
from tests.cast import Cast
from tests.cluster.site import KubernetesSite
from tests.cluster.store import wait_until
from tests.integration.provisioning.test_clusters_of_two_kinds import fresh, worked
from tests.integration.provisioning.test_moving import (
    SLUG,
    cast,
    cluster_of,
    crashed_at,
    new,
    old,
    running,
    work_of,
)
from tests.verification.local_hubs import SPEC, local_site
from tests.verification.test_kubernetes_snapshots import can_snapshot

pytestmark = pytest.mark.slow
__all__ = ["cast", "new", "old"]


RETIRING = (
    "retire.asleep", "document.stored", "retire.exported", "kubernetes.snapshot_kept", "snapshots.taken",
    "kubernetes.uninstalled", "retire.destroyed", "retire.certified", "lifecycle.before_commit",
    "job.retire_hub.worked",
)  # fmt: skip


def checks(report: Report) -> dict[str, int]:
    return {check.what: check.compared for check in report.checks if not check.skipped}


def test_the_drill_sets_a_hub_up_on_a_second_cluster_compares_it_and_leaves_nothing(
    cast: Cast, old: KubernetesSite, new: KubernetesSite, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _second = cluster_of(old, cast, "first"), cluster_of(new, cast, "second")
    hub = running(cast, first)
    work_of("bob", hub, old.password(target_of(hub), "bob"))
    (old.server.volumes.of(f"hub-{SLUG}", "claim-bob") / "thesis.tex").write_text("a year of work")
    old.store.delete(old.key(target_of(hub), "v1", "pods", "jupyter-bob"))

    call_command("drill_takeaway", SLUG, onto="second")

    told = json.loads(capsys.readouterr().out)
    assert (told["hub"], told["passed"]) == (SLUG, True)
    found = {check["what"]: check for check in told["checks"]}
    assert found["homes"]["compared"] == 2
    for what in ("bundle", "values", "what runs", "work", "users", "images", "storage"):
        assert (found[what]["compared"] > 0, found[what]["differences"]) == (True, []), what
    assert old.driver.observe(target_of(hub)).healthy, "the hub itself went on"
    assert new.driver.observe(HubTarget(slug=SLUG, generation=1)).generation == 0
    assert new.everything(target_of(hub)) == set()
    assert not [one for one in new.store.find("configmaps") if one["metadata"]["name"] == f"hub-{SLUG}"]


def test_a_drill_that_finds_differences_names_them_and_ends_with_three(
    cast: Cast, old: KubernetesSite, new: KubernetesSite, tmp_path: Path
) -> None:
    target = HubTarget(slug=SPEC.slug, generation=1)
    old.driver.ensure(target, SPEC)
    bundle = old.driver.take_away(target, SPEC, into=tmp_path)
    contents = files_of(bundle)
    elsewhere = contents["images.json"].replace(b"registry.example/hub:5.4.2", b"registry.example/hub:older")
    changed = complete(bundle, {"images.json": elsewhere, "users.csv": b"rule,name\r\nuser,ada\r\nuser,eve\r\n"})
    report = rehearse(changed, None, new.driver)
    assert not report.passed
    differences = {check.what: check.differences for check in report.checks if check.differences}
    assert differences == {
        "images": ("registry.example/hub:5.4.2", "registry.example/hub:older"),
        "users": ("user,bob", "user,eve"),
    }
    with pytest.raises(DrillRefusedError):
        rehearse(changed, None, old.driver)
    assert old.driver.observe(target).healthy, "a place that knows the hub is not touched"


def test_the_drill_sets_a_hub_up_with_real_processes_on_this_machine(tmp_path: Path) -> None:
    bundle, homes = taken_away(tmp_path)
    with TemporaryDirectory(prefix="portal-") as name:
        Path(name).chmod(0o711)
        with local_site(Path(name, "here")) as here:
            report = rehearse(bundle, homes, here.driver)
            assert report.passed, report.as_dict()
            compared = checks(report)
            assert compared.pop("values") > 20
            assert compared == {"bundle": 5, "homes": 2, "what runs": 1, "work": 3, "users": 2}
            assert here.processes() == {}
            assert not list(here.root.glob("*/desired.json"))


def taken_away(into: Path) -> tuple[Path, Path]:
    """What a university holds of a local hub, made without starting it."""
    home = into / "homes" / "ada"
    home.mkdir(parents=True)
    (home / "thesis.tex").write_text("a year of work")
    (home / "notes.md").write_text("more")
    bundle = complete(write_bundle(SPEC, into=into), {"users.csv": users_csv(SPEC).encode()})
    return bundle, pack_homes(into / "homes", slug=SPEC.slug, into=into)


def test_a_retired_hub_of_a_cluster_leaves_its_homes_and_everything_to_run_it_elsewhere(
    cast: Cast, old: KubernetesSite
) -> None:
    hub = running(cast, cluster_of(old, cast, "first"))
    work_of("bob", hub, old.password(target_of(hub), "bob"))
    can_snapshot(old)
    with consortium_scope(Scope.STAFF):
        job = retire_hub(hub, reason="We run it ourselves.", by=cast.owner, at=now())
    assert [point for point in RETIRING if crashed_at(point, job)] == list(RETIRING)
    assert worked(job).state == "succeeded"
    assert fresh(hub).status == "retired"
    with consortium_scope(Scope.STAFF):
        kept = {row.kind: row for row in Document.objects.filter(subject_id=str(hub.pk))}
        bundle, homes = documents.read(kept["take_away"]), documents.read(kept["homes"])
    with tarfile.open(fileobj=io.BytesIO(homes)) as archive:
        assert set(archive.getnames()) == {f"{SLUG}/bob/portal-check.txt", f"{SLUG}/SHA256SUMS"}
    path = Path(settings.PORTAL_HOME) / f"{SLUG}-take-away.zip"
    path.write_bytes(bundle)
    contents = files_of(path)
    assert damaged_files(contents) == []
    wanted = {
        "README.md", "RUNBOOK.md", "values.yaml", "spec.json", "users.csv", "usage.csv", "cost-forecast.csv",
        "images.json", "storage.json", "SHA256SUMS",
    }  # fmt: skip
    assert contents.keys() >= wanted
    rules = list(csv.reader(io.StringIO(contents["users.csv"].decode())))
    assert rules == [["rule", "name"], ["user", "ada"], ["user", "bob"], ["admin", "ada"]]
    runbook = contents["RUNBOOK.md"].decode()
    assert f"helm upgrade --install {SLUG} jupyterhub/jupyterhub --version 1.0.0" in runbook
    assert old.driver.observe(target_of(hub)).state is HubState.ABSENT
    assert len(old.store.find("volumesnapshotcontents")) == 2, "volumes are kept for thirty days"
    assert_snapshots_go_when_their_days_are_over(hub, old)


def assert_snapshots_go_when_their_days_are_over(hub: Hub, site: KubernetesSite) -> None:
    with consortium_scope(Scope.JOB):
        waiting = Job.objects.get(kind="release_snapshots")
        assert timedelta(days=29) < waiting.run_after - now() < timedelta(days=31)
        certificate = Document.objects.get(subject_id=str(hub.pk), kind="decommission_certificate", language="en")
    pages = PdfReader(io.BytesIO(documents.read(certificate))).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    assert "Snapshots of 2 volumes are kept" in text
    assert not jobs.run(waiting.pk), "not before its time"
    assert worked(waiting).state == "succeeded"
    wait_until(lambda: not site.store.find("volumesnapshotcontents"), "the storage to delete them")
    with consortium_scope(Scope.JOB):
        kept = Document.objects.filter(subject_id=str(hub.pk), kind="deletion_certificate")
        assert set(kept.values_list("language", flat=True)) == {"en", "fr"}

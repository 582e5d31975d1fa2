"""The catalogue as it ships: three environments and the cluster of this machine. Staff add more in the admin site."""

from dataclasses import asdict, dataclass
from datetime import datetime

from consortium.kernel import audit
from consortium.kernel.tenancy import Scope, consortium_scope
from provisioning.models import Cluster, Environment

LOCAL_CLUSTER = "local"
LOCAL_REGION = "local"


@dataclass(frozen=True, kw_only=True)
class _Entry:
    key: str
    name_en: str
    name_fr: str
    description_en: str
    description_fr: str
    image: str
    default_url: str = "/lab"


ENVIRONMENTS = (
    _Entry(
        key="standard",
        name_en="Standard (JupyterLab)",
        name_fr="Standard (JupyterLab)",
        description_en="Python notebooks, a terminal and an editor in the browser: what most courses need.",
        description_fr="Carnets Python, terminal et éditeur dans le navigateur : ce qu'il faut à la plupart des cours.",
        image="jupyter/minimal-notebook:2026-10-05",
    ),
    _Entry(
        key="r",
        name_en="R",
        name_fr="R",
        description_en="R with the tidyverse, in notebooks.",
        description_fr="R avec le tidyverse, dans des carnets.",
        image="jupyter/r-notebook:2026-10-05",
    ),
    _Entry(
        key="data-science",
        name_en="Data science",
        name_fr="Science des données",
        description_en="Python, R and Julia with the usual libraries for data analysis and statistics.",
        description_fr="Python, R et Julia avec les bibliothèques usuelles d'analyse de données et de statistique.",
        image="jupyter/datascience-notebook:2026-10-05",
    ),
)


def load_catalogue(at: datetime) -> Cluster:
    """Will write what is missing of the catalogue and return the local cluster; what staff changed stays changed."""
    by = audit.System("catalogue")
    with consortium_scope(Scope.COMMAND):
        for entry in ENVIRONMENTS:
            values = asdict(entry)
            row, made = Environment.objects.get_or_create(key=values.pop("key"), defaults=values)
            if made:
                audit.record("provisioning.environment_added", row, by=by, at=at, institution_id=None)
        cluster, made = Cluster.objects.get_or_create(
            slug=LOCAL_CLUSTER,
            defaults={
                "name": "This machine",
                "name_fr": "Cette machine",
                "driver": "local",
                "provider": "local",
                "region": LOCAL_REGION,
                "capacity": 20,
            },
        )
        if made:
            audit.record("provisioning.cluster_added", cluster, by=by, at=at, institution_id=None)
    return cluster

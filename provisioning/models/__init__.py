"""Hubs: the catalogue, the clusters, each hub with its revisions, what its meter saw, how well it kept its promise."""

from provisioning.models.events import EventOverride, EventWindow
from provisioning.models.holds import HubHold
from provisioning.models.hubs import (
    Cluster,
    ClusterCredential,
    Environment,
    Hub,
    HubDay,
    HubDayUser,
    HubRevision,
    Sample,
    SamplingRun,
)
from provisioning.models.moves import HubMove
from provisioning.models.pauses import HubPause
from provisioning.models.rollouts import Rollout
from provisioning.models.service import (
    Incident,
    IncidentUpdate,
    Maintenance,
    ServiceDay,
    ServiceStatement,
    StatementQuestion,
    WorkCheck,
)
from provisioning.models.spending import SpendingApproval
from provisioning.models.subscriptions import StatusSubscription
from provisioning.models.support import ClosedDay, SupportClock, SupportMessage, SupportRequest

__all__ = [
    "ClosedDay",
    "Cluster",
    "ClusterCredential",
    "Environment",
    "EventOverride",
    "EventWindow",
    "Hub",
    "HubDay",
    "HubDayUser",
    "HubHold",
    "HubMove",
    "HubPause",
    "HubRevision",
    "Incident",
    "IncidentUpdate",
    "Maintenance",
    "Rollout",
    "Sample",
    "SamplingRun",
    "ServiceDay",
    "ServiceStatement",
    "SpendingApproval",
    "StatementQuestion",
    "StatusSubscription",
    "SupportClock",
    "SupportMessage",
    "SupportRequest",
    "WorkCheck",
]

"""Hubs: the catalogue, the clusters, each hub with its revisions, what its meter saw, how well it kept its promise."""

from provisioning.models.hubs import (
    Cluster,
    Environment,
    Hub,
    HubDay,
    HubDayUser,
    HubRevision,
    Sample,
    SamplingRun,
)

__all__ = ["Cluster", "Environment", "Hub", "HubDay", "HubDayUser", "HubRevision", "Sample", "SamplingRun"]

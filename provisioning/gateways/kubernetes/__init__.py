"""Hubs on a Kubernetes cluster: the cluster API over HTTP for what is ours, Helm for the chart."""

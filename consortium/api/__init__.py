"""The REST API: resources of the caller's institution, read with a token."""

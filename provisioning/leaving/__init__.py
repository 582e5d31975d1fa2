"""Leaving: what a university takes away from a hub, and the rehearsal that it installs elsewhere."""

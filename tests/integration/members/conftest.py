"""The same place as in the unit stories: published terms, and a university that wants to join."""

from tests.unit.members.conftest import birch, terms

__all__ = ["birch", "terms"]

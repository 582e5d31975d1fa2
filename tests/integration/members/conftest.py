"""The same place as in the unit stories: published terms, and a university that wants to join."""

from tests.unit.members.conftest import birch, scope, terms

__all__ = ["birch", "scope", "terms"]

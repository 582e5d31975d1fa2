"""How Hypothesis runs here: without a time limit per example, because two busy cores make honest code slow at times."""

from hypothesis import settings

settings.register_profile("portal", deadline=None)
settings.load_profile("portal")

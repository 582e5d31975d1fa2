"""Roles as words; what each may do is in members/permissions.py."""

from datetime import timedelta
from typing import Final

from django.db import models

# Each year an owner says of every seat that it is still needed, or ends it.
REVIEW_AFTER: Final = timedelta(days=365)


class Role(models.TextChoices):
    """A person's role at an institution."""

    OWNER = "owner", "Owner"
    FINANCE = "finance", "Finance"
    TECHNICAL = "technical", "Technical"
    VIEWER = "viewer", "Viewer"


class StaffRole(models.TextChoices):
    """A person's role at the consortium."""

    REVIEWER = "reviewer", "Reviewer"
    FINANCE = "finance", "Finance"
    OPERATOR = "operator", "Operator"
    AUDITOR = "auditor", "Auditor"

"""People who sign in, the staff roles of some, and the tokens of programs."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower

from consortium.kernel.fields import Row
from members.roles import StaffRole

LANGUAGE_CHOICES = [("en", "English"), ("fr", "Français")]


class UserManager(BaseUserManager["User"]):
    """Makes people by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> "User":
        """Make a person; without a password nobody can sign in with one."""
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> "User":
        """Make a person who may do everything in the admin site (`./portal manage createsuperuser`)."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **extra)


class User(Row, AbstractBaseUser, PermissionsMixin):
    """A person, known by e-mail address; what they may do comes from seats and staff seats."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    language = models.CharField(max_length=2, choices=LANGUAGE_CHOICES, default="en")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField("consortium staff", default=False)
    date_joined = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        """The name as the person wrote it, or the address."""
        return self.name or self.email


class StaffSeat(Row):
    """A role of consortium staff."""

    user = models.ForeignKey(User, models.PROTECT, related_name="staff_seats")
    role = models.CharField(max_length=20, choices=StaffRole.choices)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role"], condition=models.Q(ended_at=None), name="staffseat_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"

    @property
    def status(self) -> str:
        """ "live" or "ended"."""
        return "live" if self.ended_at is None else "ended"


class ApiToken(Row):
    """A program's key to one institution: hashed, shown once, with listed permissions and an end."""

    institution = models.ForeignKey("members.Institution", models.PROTECT, related_name="api_tokens")
    name = models.CharField(max_length=100)
    token_hash = models.CharField(max_length=64, unique=True)
    permissions = ArrayField(models.CharField(max_length=40))
    created_by = models.ForeignKey(User, models.PROTECT)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(expires_at__gt=models.F("created_at")), name="apitoken_expires"),
        ]

    def __str__(self) -> str:
        return self.name

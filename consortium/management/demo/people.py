"""The people of the demonstration: made once, their passwords and TOTP secrets kept in the home."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from members.models import StaffSeat, User
from members.roles import StaffRole

NEWCOMER_PEOPLE = (
    ("owner", "Olivia Okafor", "en"),
    ("finance", "Félix Tremblay", "fr"),
    ("technical", "Theo Nakamura", "en"),
    ("viewer", "Vera Lindqvist", "en"),
)
STAFF = ("staff", "Sam Sinclair", "en")
NEEDS_MFA = frozenset({"owner", "finance", "staff"})


@dataclass(frozen=True)
class DemoPerson:
    """Somebody to sign in as. `totp_secret` is empty for those who need no second factor."""

    role: str
    name: str
    email: str
    password: str
    totp_secret: str


def _read(path: Path) -> dict[str, DemoPerson]:
    if not path.exists():
        return {}
    return {role: DemoPerson(**values) for role, values in json.loads(path.read_text())["people"].items()}


def _write(path: Path, people: dict[str, DemoPerson]) -> None:
    temporary = path.with_suffix(".part")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({"people": {role: asdict(person) for role, person in people.items()}}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def make_people(home: Path) -> dict[str, DemoPerson]:
    """Make who is missing; returns everybody by role, with the secrets that only the home knows."""
    path = home / "demo.json"
    people = _read(path)
    for role, name, _language in (*NEWCOMER_PEOPLE, STAFF):
        if role not in people:
            secret = generate_totp_secret() if role in NEEDS_MFA else ""
            people[role] = DemoPerson(role, name, f"{role}@demo.example", secrets.token_urlsafe(12), secret)
    _write(path, people)
    for role, _name, language in (*NEWCOMER_PEOPLE, STAFF):
        _make_user(people[role], language)
    return people


def _make_user(person: DemoPerson, language: str) -> User:
    user = User.objects.filter(email=person.email).first()
    if user is None:
        user = User.objects.create_user(
            person.email, person.password, name=person.name, language=language, is_staff=person.role == "staff"
        )
    EmailAddress.objects.get_or_create(user=user, email=person.email, defaults={"verified": True, "primary": True})
    if person.totp_secret and not Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists():
        TOTP.activate(user, person.totp_secret)
    if person.role == "staff":
        for role in StaffRole.values:
            StaffSeat.objects.get_or_create(user=user, role=role, ended_at=None)
    return user

"""What a person wishes a hub to be, in the words of the form, and the spec that follows from it."""

import re
from dataclasses import dataclass
from typing import Final

from django.utils.text import slugify
from django.utils.translation import gettext as _
from pydantic import ValidationError

from consortium.kernel.errors import Invalid
from provisioning.models import Environment
from provisioning.specs import HubSpec, LocalSignOn, Size

MIB: Final = 1024 * 1024


class EnvironmentUnknown(Invalid):
    """The catalogue has no such environment, or no longer offers it."""

    code = "environment_unknown"


class SpecInvalid(Invalid):
    """The wish does not make a hub."""

    code = "spec_invalid"


@dataclass(frozen=True, kw_only=True)
class HubWish:
    """What a person asks for in the form, before it is a spec; memory is the limit of one server, in bytes."""

    name: str
    purpose: str
    environment: str
    memory_bytes: int
    max_servers: int
    expected_users: int
    users: frozenset[str]
    admins: frozenset[str] = frozenset()
    staging: bool = False

    def spec(self, *, slug: str) -> HubSpec:
        """Will return the spec of a hub of that slug, its image from the catalogue, half of the memory guaranteed.

        Raises EnvironmentUnknown and SpecInvalid.
        """
        environment = Environment.objects.filter(key=self.environment, retired_at=None).first()
        if environment is None:
            raise EnvironmentUnknown(_("Choose an environment from the catalogue."), field="environment")
        limit = self.memory_bytes // MIB
        try:
            return HubSpec(
                slug=slug,
                display_name=self.name,
                environment=environment.key,
                image=environment.image,
                default_url=environment.default_url,
                size=Size(memory_guarantee_mib=guaranteed_mib(limit), memory_limit_mib=limit),
                max_servers=self.max_servers,
                expected_users=self.expected_users,
                sign_on=LocalSignOn(allowed_users=self.users, admins=self.admins),
            )
        except ValidationError as error:
            raise SpecInvalid(first_complaint(error)) from error


def guaranteed_mib(limit_mib: int) -> int:
    """Will return how much of a server's memory limit it is guaranteed, in MiB: half, and 64 at least."""
    return max(limit_mib // 2, 64)


def hub_slug(institution_slug: str, name: str) -> str:
    """Will make a hub's short name from its institution's and its own: lower case, hyphens, 3 to 40 characters."""
    words = slugify(f"{institution_slug} {name}")
    words = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "hub"
    words = words if words[0].isalpha() else f"hub-{words}"
    return words[:40].rstrip("-").ljust(3, "x")


def first_complaint(error: ValidationError) -> str:
    """Will return the first thing that is wrong with a spec, and where."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])

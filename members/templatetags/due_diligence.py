"""The due-diligence pack for templates/members/_due_diligence.html, so that any page of ours can include it."""

from django import template

from consortium.kernel.clock import now
from members.diligence import PackEntry, current_pack

register = template.Library()


@register.simple_tag
def due_diligence_pack() -> list[PackEntry]:
    """Will return the pack as it is today; the page that includes it has checked who reads it."""
    return current_pack(on=now().date())

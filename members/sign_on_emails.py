"""Mails about sign-on: to the owners when it changes, to a person whose account got another way in."""

from uuid import UUID

from django.utils import translation
from django.utils.translation import gettext as _

from consortium.kernel.outbox import receiver
from consortium.models import AuditEvent
from members.emails import _send as send
from members.models import Institution, SignOn, User
from members.queries import owners_of


def _what(action: str) -> str:
    return {
        "members.sign_on_enabled": _("Sign-on through your identity provider was turned on."),
        "members.sign_on_enforced": _("Sign-on is required now: passwords are refused to your domains' addresses."),
        "members.sign_on_relaxed": _("Passwords are allowed again beside sign-on."),
        "members.sign_on_stopped": _("Sign-on was turned off; people sign in with passwords."),
    }[action]


@receiver("members.mail_sign_on")
def mail_sign_on(event: AuditEvent) -> None:
    """Tell each owner what changed: whoever sets up sign-on decides who can get in."""
    row = SignOn.objects.select_related("institution").get(pk=UUID(event.object_id))
    for owner in owners_of(row.institution_id):
        with translation.override(owner.language):
            what = _what(event.action)
        send(
            event,
            [owner],
            "members_sign_on",
            "sign_on",
            row.institution.slug,
            institution=row.institution,
            what=what,
            issuer=row.issuer,
        )


@receiver("members.mail_identity_linked")
def mail_identity_linked(event: AuditEvent) -> None:
    """Tell the person that the account can be entered by another way."""
    institution = Institution.objects.get(pk=str(event.institution_id))
    person = User.objects.get(pk=UUID(str(event.after["user"])))
    send(event, [person], "members_identity_linked", "sign_on_identities", institution=institution)

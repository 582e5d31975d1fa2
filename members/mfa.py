"""Second factors: which ones count, and whether one stands behind a session."""

from typing import Any, Final

from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from members.models import User

# allauth asks for one of these at each sign-in of whoever has set one up. Recovery codes alone are none.
FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
FROM_SIGN_ON: Final = "sign_on_mfa"


def note_sign_on_factor(request: HttpRequest, *, present: bool) -> None:
    """Remember with the session whether its sign-in came with REFEDS MFA; call it at every sign-in."""
    request.session[FROM_SIGN_ON] = present


def second_factor_present(request: Any) -> bool:
    """Tell whether the signed-in person has an authenticator app or a passkey, or signed on with a second factor."""
    user = request.user
    if not isinstance(user, User):
        return False
    if request.session.get(FROM_SIGN_ON):
        return True
    return bool(Authenticator.objects.filter(user=user, type__in=FACTORS).exists())

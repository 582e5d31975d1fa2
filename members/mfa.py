"""Second factors: which ones count, and whether the person behind a request has one."""

from typing import Final

from allauth.mfa.models import Authenticator
from django.http import HttpRequest

# allauth asks for one of these at each sign-in of whoever has set one up. Recovery codes alone are none.
FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def second_factor_present(request: HttpRequest) -> bool:
    """Tell whether the signed-in person has a second factor that counts: an authenticator app or a passkey."""
    return bool(Authenticator.objects.filter(user_id=request.user.pk, type__in=FACTORS).exists())

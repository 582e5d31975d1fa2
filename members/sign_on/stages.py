"""allauth's second-factor stage, passed by people whose identity provider has just asked for one (REFEDS MFA)."""

from allauth.mfa.stages import AuthenticateStage
from django.http import HttpRequest


class SecondFactorStage(AuthenticateStage):  # type: ignore[misc] # allauth carries no types
    """Asks for the portal's own second factor unless this very sign-in brought one."""

    def _should_handle(self, request: HttpRequest) -> bool:
        sociallogin = (self.login.signal_kwargs or {}).get("sociallogin")
        if sociallogin is not None and sociallogin.state.get("mfa"):
            return False
        return bool(super()._should_handle(request))

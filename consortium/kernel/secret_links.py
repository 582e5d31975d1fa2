"""Links that open something by themselves are secrets: they are cut out of whatever is kept."""

import re
from typing import Final

# What stands before the secret in such an address.
_SECRET_LINKS: Final = re.compile(
    r"(/pay/|/sign/|/invitations/|/password/reset/key/|/confirm-email/|/saml/finish/|/status/confirm/|/status/leave/|[?&](?:code|state|university)=)"
    r"[^/&\s\"']+"
)


def without_secret_links(text: str) -> str:
    """Return the text with the secret of each such link replaced by an ellipsis."""
    return _SECRET_LINKS.sub(r"\1…", text)

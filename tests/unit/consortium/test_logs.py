"""Links that open something by themselves are secrets, and secrets are not logged."""

import pytest

from consortium.settings import _hide_secret_links


@pytest.mark.parametrize(
    "path",
    [
        "/en/pay/CANARY/",
        "/fr/invitations/CANARY/",
        "/fr/accounts/password/reset/key/1-CANARY/",
        "/en/accounts/confirm-email/CANARY/",
        "/sign-on/cedar/saml/finish/CANARY/",
        "/sign-on/cedar/callback/?code=CANARY&state=CANARY",
        "/en/accounts/login/?next=/en/&university=CANARY@cedar.example",
        "/fr/sign/CANARY/french/",
    ],
)
def test_a_secret_link_is_cut_out_of_every_log_line(path: str) -> None:
    line = _hide_secret_links(None, "info", {"event": f"Not Found: {path}", "request": f"GET {path}", "code": 404})
    assert "CANARY" not in str(line)
    assert line["code"] == 404

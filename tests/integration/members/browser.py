"""A browser without a window: signs people in, and checks what every page must be."""

import re
from typing import Protocol

from allauth.mfa.models import Authenticator
from django.test import Client

from members.models import User

BACKEND = "django.contrib.auth.backends.ModelBackend"


class Answer(Protocol):
    """What the test client returns."""

    @property
    def content(self) -> bytes:
        """The body."""


def signed_in(person: User, *, second_factor: bool = True) -> Client:
    """A client of that person, who has a second factor unless said otherwise."""
    if second_factor:
        Authenticator.objects.get_or_create(
            user=person, type=Authenticator.Type.TOTP, defaults={"data": {"secret": "x"}}
        )
    client = Client()
    client.force_login(person, backend=BACKEND)
    return client


def text_of(response: Answer) -> str:
    """The page, after checking that it is sound: one h1, no inline style or handler, no script without a source."""
    html = response.content.decode()
    assert len(re.findall(r"<h1\b", html)) == 1, "one h1"
    assert not re.search(r"\sstyle\s*=", html), "no inline style"
    assert not re.search(r'\son[a-z]+\s*=\s*["\']', html), "no inline handler"
    assert not re.search(r'<script(?![^>]*\b(src|type="application/json"))', html), "no inline script"
    assert "{%" not in html
    assert "{{" not in html
    return html

"""Where one is: the menu marks the page itself, or the entry that it lies below."""

import pytest
from django.test import Client

from consortium.views.context import _with_place

MENU = [("Overview", "/en/i/cedar/"), ("Cost", "/en/i/cedar/costs/"), ("Invoices", "/en/i/cedar/invoices/")]


@pytest.mark.parametrize(
    ("path", "marked"),
    [
        ("/en/i/cedar/", {"Overview": "page"}),
        ("/en/i/cedar/invoices/", {"Invoices": "page"}),
        ("/en/i/cedar/invoices/statement/", {"Invoices": "true"}),
        ("/en/i/cedar/hubs/stats/", {"Overview": "true"}),
        ("/en/accounts/sessions/", {}),
    ],
    ids=["overview", "invoices", "below invoices", "below the member", "elsewhere"],
)
def test_the_nearest_entry_above_a_page_is_marked(path: str, marked: dict[str, str]) -> None:
    assert {link.label: link.current for link in _with_place(MENU, path) if link.current} == marked


@pytest.mark.django_db
def test_below_the_home_page_is_no_place(client: Client) -> None:
    assert 'href="/en/" aria-current' not in client.get("/en/privacy/").content.decode()
    assert 'href="/en/" aria-current="page"' in client.get("/en/").content.decode()

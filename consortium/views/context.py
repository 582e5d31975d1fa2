"""What every page knows: where one is, where one can go, and the same page in the other language."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse, translate_url
from django.utils import translation
from django.utils.translation import gettext as _

from members.permissions import Permission


@dataclass(frozen=True)
class Link:
    """An entry of a menu."""

    label: str
    url: str
    current: str = ""  # of aria-current: "page" where one is, "true" where the page lies below it


# What an institution's menu offers, to whom: route, permission, label.
MENU = (
    ("institution", Permission.VIEW_INSTITUTION, "Overview"),
    ("usage", Permission.VIEW_USAGE, "Use"),
    ("support", Permission.REQUEST_SUPPORT, "Support"),
    ("costs", Permission.VIEW_COSTS, "Cost"),
    ("invoices", Permission.VIEW_INVOICES, "Invoices"),
    ("people", Permission.VIEW_PEOPLE, "People"),
    ("domains", Permission.MANAGE_SIGN_ON, "Domains"),
    ("sign_on", Permission.MANAGE_SIGN_ON, "Sign-on"),
    ("tokens", Permission.MANAGE_TOKENS, "Programs"),
)


def _labels() -> dict[str, str]:
    # Written out, so that the catalogue finds them.
    return {
        "Overview": _("Overview"),
        "Use": _("Use"),
        "Support": _("Support"),
        "Cost": _("Cost"),
        "Invoices": _("Invoices"),
        "People": _("People"),
        "Domains": _("Domains"),
        "Sign-on": _("Sign-on"),
        "Programs": _("Programs"),
    }


def _navigation(request: HttpRequest) -> list[Link]:
    institution = getattr(request, "institution", None)
    if institution is not None:
        held: frozenset[Permission] = getattr(request, "permissions", frozenset())
        labels = _labels()
        own = [
            (labels[label], reverse(name, args=[institution.slug]))
            for name, permission, label in MENU
            if permission in held
        ]
        return _with_place(own, request.path)
    links = [("home", _("Map")), ("status", _("Status")), ("apply", _("Apply"))]
    if request.user.is_authenticated:
        links = [("dashboard", _("My institution")), *links]
    home = reverse("home")  # every page lies below it, which says nothing
    return _with_place([(label, reverse(name)) for name, label in links], request.path, besides=home)


def _with_place(entries: list[tuple[str, str]], path: str, *, besides: str = "") -> list[Link]:
    """The entries, of which the one is marked that is this page, or the nearest one above it."""
    above = [url for _label, url in entries if path.startswith(url) and (url != besides or url == path)]
    nearest = max(above, key=len, default="")
    return [Link(label, url, ("page" if url == path else "true") if url == nearest else "") for label, url in entries]


def page(request: HttpRequest) -> dict[str, Any]:
    """Context for base.html."""
    language = (translation.get_language() or "en")[:2]
    other = "fr" if language == "en" else "en"
    context: dict[str, Any] = {"demo": settings.DEMO}
    if not hasattr(request, "user"):
        return context
    context |= {
        "nav": _navigation(request),
        "alternate_language": other,
        "alternate_language_label": dict(settings.LANGUAGES)[other],
        "institution": getattr(request, "institution", None),
    }
    target = translate_url(request.get_full_path(), other)
    if target != request.get_full_path():
        context["alternate_url"] = target
    links = []
    if request.user.is_authenticated:
        links += [
            Link(_("Name and language"), reverse("account_profile")),
            Link(_("Second factor"), reverse("mfa_index")),
            Link(_("University accounts"), reverse("sign_on_identities")),
            Link(_("Where you are signed in"), reverse("account_sessions")),
            Link(_("Password"), reverse("account_change_password")),
        ]
    if getattr(request.user, "is_staff", False):
        links.append(Link(_("Consortium staff"), reverse("admin:index")))
    if settings.DEMO:
        links.append(Link(_("Mailbox of the demonstration"), reverse("mailbox")))
    context["account_links"] = links
    return context

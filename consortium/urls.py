"""Every address of the portal: pages under their language, the API and machines without one."""

from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, include, path
from django.utils.translation import get_language_from_request
from django.views.decorators.http import require_safe

from billing.urls import machine_patterns as billing_machines
from billing.urls import page_patterns as billing_pages
from consortium.views import (
    costs,
    dashboard,
    hub_change,
    hub_pair,
    hub_request,
    leaving,
    machines,
    mailbox,
    public,
    status,
)
from members.sign_on_urls import machine_patterns as members_machines
from members.urls import page_patterns as members_pages
from provisioning.urls import page_patterns as provisioning_pages


@require_safe
def root(request: HttpRequest) -> HttpResponse:
    """Send a visitor to the language the browser asks for."""
    return redirect(f"/{get_language_from_request(request)[:2]}/")


urlpatterns: list[URLPattern | URLResolver] = [
    path("", root),
    path("livez", machines.livez, name="livez"),
    path("readyz", machines.readyz, name="readyz"),
    path("api/v1/", include("consortium.api.urls")),
    *billing_machines,
    *members_machines,
    *i18n_patterns(
        path("", public.home, name="home"),
        path("status/", status.status, name="status"),
        path("status/feed.atom", status.status_feed, name="status_feed"),
        path("status/status.json", status.status_json, name="status_json"),
        path("privacy/", public.privacy, name="privacy"),
        path("mailbox/", mailbox.mailbox, name="mailbox"),
        path("dashboard/", dashboard.dashboard, name="dashboard"),
        path("i/<slug:slug>/", dashboard.institution, name="institution"),
        path("i/<slug:slug>/hubs/request/", hub_request.hub_request, name="hub_request"),
        path("i/<slug:slug>/hubs/request/preview/", hub_request.hub_request_preview, name="hub_request_preview"),
        path("i/<slug:slug>/hubs/<slug:hub_slug>/spending/", hub_request.hub_spending, name="hub_spending"),
        path("i/<slug:slug>/hubs/<slug:hub_slug>/change/", hub_change.hub_change, name="hub_change"),
        path("i/<slug:slug>/hubs/<slug:hub_slug>/staging/", hub_pair.hub_staging, name="hub_staging"),
        path("i/<slug:slug>/hubs/<slug:hub_slug>/promote/", hub_pair.hub_promote, name="hub_promote"),
        path("i/<slug:slug>/hubs/<slug:hub_slug>/retire/", hub_change.hub_retire, name="hub_retire"),
        path(
            "i/<slug:slug>/hubs/<slug:hub_slug>/revisions/<int:generation>/",
            hub_change.hub_roll_back,
            name="hub_roll_back",
        ),
        path("i/<slug:slug>/hubs/<slug:hub_slug>/documents/<uuid:pk>/", hub_change.hub_document, name="hub_document"),
        path("i/<slug:slug>/leaving/", leaving.leaving, name="leaving"),
        path("i/<slug:slug>/leaving/<uuid:pk>/", leaving.leaving_file, name="leaving_file"),
        *costs.page_patterns,
        *members_pages,
        *provisioning_pages,
        *billing_pages,
        path("accounts/", include("allauth.account.urls")),
        path("accounts/mfa/", include("allauth.mfa.urls")),
        path("staff/", admin.site.urls),
        prefix_default_language=True,
    ),
]

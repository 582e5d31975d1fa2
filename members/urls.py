"""The app's addresses, under the language of the page."""

from django.urls import URLPattern, URLResolver, path

from members.agreement_urls import agreement_patterns
from members.views import applying, institution

page_patterns: list[URLPattern | URLResolver] = [
    path("apply/", applying.apply, name="apply"),
    path("applications/<uuid:pk>/", applying.application, name="application"),
    path("applications/<uuid:pk>/answers/", applying.application_form, name="application_form"),
    path("applications/<uuid:pk>/check/", applying.application_check, name="application_check"),
    path("applications/<uuid:pk>/withdraw/", applying.application_withdraw, name="application_withdraw"),
    *agreement_patterns,
    path("i/<slug:slug>/people/", institution.people, name="people"),
    path("i/<slug:slug>/people/<uuid:pk>/end/", institution.seat_end, name="seat_end"),
    path("i/<slug:slug>/tokens/", institution.tokens, name="tokens"),
    path("i/<slug:slug>/tokens/<uuid:pk>/revoke/", institution.token_revoke, name="token_revoke"),
]

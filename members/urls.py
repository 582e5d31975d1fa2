"""The app's addresses, under the language of the page."""

from django.urls import URLPattern, URLResolver, path

from members.views import application, applying, diligence, institution

page_patterns: list[URLPattern | URLResolver] = [
    path("apply/", applying.apply, name="apply"),
    path("apply/unlisted/", applying.apply_unlisted, name="apply_unlisted"),
    path("apply/<slug:slug>/access/", applying.access_request, name="access_request"),
    path("applications/<uuid:pk>/", application.application, name="application"),
    path("applications/<uuid:pk>/answers/", application.application_form, name="application_form"),
    path("applications/<uuid:pk>/answers/<slug:key>/", application.application_section, name="application_section"),
    path(
        "applications/<uuid:pk>/answers/<slug:key>/autosave/",
        application.application_autosave,
        name="application_autosave",
    ),
    path("applications/<uuid:pk>/check/", application.application_check, name="application_check"),
    path("applications/<uuid:pk>/withdraw/", application.application_withdraw, name="application_withdraw"),
    path("due-diligence/", diligence.pack, name="due_diligence"),
    path("due-diligence/all.zip", diligence.pack_zip, name="due_diligence_zip"),
    path("due-diligence/<uuid:pk>/<str:language>/", diligence.pack_file, name="due_diligence_file"),
    path("i/<slug:slug>/agreements/<uuid:pk>/", institution.agreement, name="agreement"),
    path(
        "i/<slug:slug>/agreements/<uuid:pk>/<str:language>.pdf",
        institution.agreement_document,
        name="agreement_document",
    ),
    path("i/<slug:slug>/people/", institution.people, name="people"),
    path("i/<slug:slug>/people/<uuid:pk>/end/", institution.seat_end, name="seat_end"),
    path("i/<slug:slug>/tokens/", institution.tokens, name="tokens"),
    path("i/<slug:slug>/tokens/<uuid:pk>/revoke/", institution.token_revoke, name="token_revoke"),
]

"""The app's addresses, under the language of the page."""

from django.urls import URLPattern, URLResolver, path

from members.agreement_urls import agreement_patterns
from members.views import application, applying, diligence, domains, institution, sign_on, sign_on_flow

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
    *agreement_patterns,
    path("i/<slug:slug>/people/", institution.people, name="people"),
    path("i/<slug:slug>/people/<uuid:pk>/end/", institution.seat_end, name="seat_end"),
    path("i/<slug:slug>/tokens/", institution.tokens, name="tokens"),
    path("i/<slug:slug>/tokens/<uuid:pk>/revoke/", institution.token_revoke, name="token_revoke"),
    path("i/<slug:slug>/domains/", domains.domains, name="domains"),
    path("i/<slug:slug>/domains/<uuid:pk>/check/", domains.domain_check, name="domain_check"),
    path("i/<slug:slug>/domains/<uuid:pk>/remove/", domains.domain_remove, name="domain_remove"),
    path("i/<slug:slug>/sign-on/", sign_on.sign_on, name="sign_on"),
    path("i/<slug:slug>/sign-on/provider/", sign_on.sign_on_form, name="sign_on_form"),
    path("i/<slug:slug>/sign-on/affiliations/", sign_on.sign_on_affiliations, name="sign_on_affiliations"),
    path("i/<slug:slug>/sign-on/<uuid:pk>/test/", sign_on.sign_on_test, name="sign_on_test"),
    path("i/<slug:slug>/sign-on/<uuid:pk>/<slug:act>/", sign_on.sign_on_act, name="sign_on_act"),
    path("accounts/login/", sign_on_flow.SignInView.as_view(), name="account_login"),
    path("accounts/sign-on/", sign_on_flow.own_identities, name="sign_on_identities"),
    path("accounts/sign-on/link/", sign_on_flow.link, name="sign_on_link"),
    path("accounts/sign-on/<int:pk>/unlink/", sign_on_flow.unlink, name="sign_on_unlink"),
]

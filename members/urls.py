"""The app's addresses, under the language of the page."""

from django.urls import URLPattern, URLResolver, path

from members.views import account, applying, institution, invitation, people

page_patterns: list[URLPattern | URLResolver] = [
    path("apply/", applying.apply, name="apply"),
    path("applications/<uuid:pk>/", applying.application, name="application"),
    path("applications/<uuid:pk>/answers/", applying.application_form, name="application_form"),
    path("applications/<uuid:pk>/check/", applying.application_check, name="application_check"),
    path("applications/<uuid:pk>/withdraw/", applying.application_withdraw, name="application_withdraw"),
    path("i/<slug:slug>/agreements/<uuid:pk>/", institution.agreement, name="agreement"),
    path(
        "i/<slug:slug>/agreements/<uuid:pk>/<str:language>.pdf",
        institution.agreement_document,
        name="agreement_document",
    ),
    path("i/<slug:slug>/people/", people.people, name="people"),
    path("i/<slug:slug>/people/ownership/", people.ownership_pass, name="ownership_pass"),
    path("i/<slug:slug>/people/ownership/<uuid:pk>/", people.ownership_offer, name="ownership_offer"),
    path("i/<slug:slug>/people/invitations/<uuid:pk>/again/", people.invite_again, name="invite_again"),
    path("i/<slug:slug>/people/invitations/<uuid:pk>/withdraw/", people.invite_withdraw, name="invite_withdraw"),
    path("i/<slug:slug>/people/<uuid:pk>/", people.seat, name="seat"),
    path("i/<slug:slug>/people/<uuid:pk>/confirm/", people.seat_confirm, name="seat_confirm"),
    path("i/<slug:slug>/people/<uuid:pk>/end/", people.seat_end, name="seat_end"),
    path("invitations/", invitation.invitation_waiting, name="invitation_waiting"),
    path("invitations/<str:token>/", invitation.invitation, name="invitation"),
    path("accounts/profile/", account.profile, name="account_profile"),
    path("accounts/sessions/", account.sessions, name="account_sessions"),
    path("i/<slug:slug>/tokens/", institution.tokens, name="tokens"),
    path("i/<slug:slug>/tokens/<uuid:pk>/revoke/", institution.token_revoke, name="token_revoke"),
]

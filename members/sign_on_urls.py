"""Addresses that identity providers know: under no language, since they are registered once."""

from django.urls import URLPattern, URLResolver, path

from members.views import sign_on_flow as views

machine_patterns: list[URLPattern | URLResolver] = [
    path("sign-on/<slug:slug>/", views.begin, name="sign_on_begin"),
    path("sign-on/<slug:slug>/callback/", views.callback, name="sign_on_callback"),
    path("sign-on/<slug:slug>/saml/acs/", views.acs, name="sign_on_acs"),
    path("sign-on/<slug:slug>/saml/metadata/", views.metadata, name="sign_on_metadata"),
    path("sign-on/<slug:slug>/saml/finish/<str:ticket>/", views.finish, name="sign_on_finish"),
]

"""Addresses of agreements, of a delegate's link, and of the verification of documents."""

from django.urls import URLPattern, URLResolver, path

from members.views import agreement, delegate, verify

ONE = "i/<slug:slug>/agreements/<uuid:pk>/"

agreement_patterns: list[URLPattern | URLResolver] = [
    path("i/<slug:slug>/agreements/", agreement.agreement_list, name="agreements"),
    path(ONE, agreement.agreement, name="agreement"),
    path(f"{ONE}changes/", agreement.agreement_changes, name="agreement_changes"),
    path(f"{ONE}french/", agreement.agreement_french, name="agreement_french"),
    path(f"{ONE}request/", agreement.agreement_request, name="agreement_request"),
    path(f"{ONE}delegate/", agreement.agreement_delegate, name="agreement_delegate"),
    path(
        f"{ONE}delegate/<uuid:invitation>/revoke/",
        agreement.agreement_delegate_revoke,
        name="agreement_delegate_revoke",
    ),
    path(f"{ONE}notice/", agreement.agreement_notice, name="agreement_notice"),
    path(f"{ONE}<str:language>.pdf", agreement.agreement_document, name="agreement_document"),
    path("sign/<str:token>/", delegate.sign, name="agreement_sign"),
    path("sign/<str:token>/french/", delegate.sign_french, name="agreement_sign_french"),
    path("verify/", verify.verify_document, name="verify_document"),
]

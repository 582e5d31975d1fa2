"""The app's addresses: pages under their language, and the one that a machine calls."""

from django.urls import URLPattern, URLResolver, path

from billing import accrual_views, pay_views, views, webhooks

page_patterns: list[URLPattern | URLResolver] = [
    path("i/<slug:slug>/invoices/", views.invoices, name="invoices"),
    path("i/<slug:slug>/invoices/lines.csv", views.invoices_csv, name="invoices_csv"),
    path("i/<slug:slug>/invoices/accrual/", accrual_views.accrual, name="accrual"),
    path("i/<slug:slug>/invoices/accrual.csv", accrual_views.accrual_csv, name="accrual_csv"),
    path("i/<slug:slug>/invoices/<uuid:pk>/", views.invoice, name="invoice"),
    path("i/<slug:slug>/invoices/<uuid:pk>/invoice.pdf", views.invoice_pdf, name="invoice_pdf"),
    path("i/<slug:slug>/invoices/<uuid:pk>/pay/", views.invoice_pay, name="invoice_pay"),
    path("i/<slug:slug>/invoices/<uuid:pk>/receipts/<uuid:payment>.pdf", views.receipt_pdf, name="receipt_pdf"),
    path("pay/<str:token>/", pay_views.pay, name="pay"),
    path("pay/<str:token>/invoice.pdf", pay_views.pay_pdf, name="pay_pdf"),
    path("pay/<str:token>/return/", pay_views.pay_return, name="pay_return"),
    path("pay/<str:token>/state/", pay_views.pay_state, name="pay_state"),
    path("pay/<str:token>/receipts/<uuid:payment>.pdf", pay_views.pay_receipt, name="pay_receipt"),
    path("pay/<str:token>/fresh/", pay_views.pay_fresh, name="pay_fresh"),
]
machine_patterns: list[URLPattern | URLResolver] = [
    path("webhooks/stripe/", webhooks.stripe_webhook, name="stripe_webhook"),
]

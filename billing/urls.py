"""The app's addresses: pages under their language, and the one that a machine calls."""

from django.urls import URLPattern, URLResolver, path

from billing import (
    accrual_views,
    address_views,
    bounce_webhook,
    order_views,
    pay_help_views,
    pay_views,
    statement_views,
    views,
    webhooks,
)

page_patterns: list[URLPattern | URLResolver] = [
    path("i/<slug:slug>/invoices/", views.invoices, name="invoices"),
    path("i/<slug:slug>/invoices/lines.csv", views.invoices_csv, name="invoices_csv"),
    path("i/<slug:slug>/invoices/accrual/", accrual_views.accrual, name="accrual"),
    path("i/<slug:slug>/invoices/accrual.csv", accrual_views.accrual_csv, name="accrual_csv"),
    path("i/<slug:slug>/invoices/address/<uuid:pk>/", address_views.invoice_address, name="invoice_address"),
    path("i/<slug:slug>/invoices/<uuid:pk>/", views.invoice, name="invoice"),
    path("i/<slug:slug>/invoices/<uuid:pk>/invoice.pdf", views.invoice_pdf, name="invoice_pdf"),
    path("i/<slug:slug>/invoices/<uuid:pk>/pay/", views.invoice_pay, name="invoice_pay"),
    path("i/<slug:slug>/invoices/<uuid:pk>/receipts/<uuid:payment>.pdf", views.receipt_pdf, name="receipt_pdf"),
    path("i/<slug:slug>/invoices/<uuid:pk>/<str:kind>.xml", views.invoice_xml, name="invoice_xml"),
    path("i/<slug:slug>/credit-notes/<uuid:pk>/credit-note.pdf", views.credit_note_pdf, name="credit_note_pdf"),
    path("i/<slug:slug>/credit-notes/<uuid:pk>/<str:kind>.xml", views.credit_note_xml, name="credit_note_xml"),
    path("i/<slug:slug>/statement/", statement_views.statement, name="statement"),
    path("i/<slug:slug>/statement/statement.csv", statement_views.statement_csv, name="statement_csv"),
    path("i/<slug:slug>/statement/statement.pdf", statement_views.statement_pdf, name="statement_pdf"),
    path("i/<slug:slug>/vendor-pack/<slug:issuer>.pdf", statement_views.vendor_pack, name="vendor_pack"),
    path("i/<slug:slug>/purchase-orders/", order_views.purchase_orders, name="purchase_orders"),
    path("i/<slug:slug>/purchase-orders/<uuid:pk>/close/", order_views.close, name="purchase_order_close"),
    path("pay/<str:token>/", pay_views.pay, name="pay"),
    path("pay/<str:token>/invoice.pdf", pay_views.pay_pdf, name="pay_pdf"),
    path("pay/<str:token>/return/", pay_views.pay_return, name="pay_return"),
    path("pay/<str:token>/state/", pay_views.pay_state, name="pay_state"),
    path("pay/<str:token>/receipts/<uuid:payment>.pdf", pay_views.pay_receipt, name="pay_receipt"),
    path("pay/<str:token>/fresh/", pay_views.pay_fresh, name="pay_fresh"),
    path("pay/<str:token>/question/", pay_help_views.pay_question, name="pay_question"),
    path("pay/<str:token>/share/", pay_help_views.pay_share, name="pay_share"),
    path("pay/<str:token>/dispute/", pay_help_views.pay_dispute_choose, name="pay_dispute_choose"),
    path("pay/<str:token>/dispute/<uuid:line>/", pay_help_views.pay_dispute_line, name="pay_dispute_line"),
    path("pay/<str:token>/disputes/<uuid:pk>/", pay_help_views.pay_dispute, name="pay_dispute"),
    path(
        "pay/<str:token>/disputes/<uuid:pk>/withdraw/",
        pay_help_views.pay_dispute_withdraw,
        name="pay_dispute_withdraw",
    ),
    path("pay/<str:token>/<str:kind>.xml", pay_help_views.pay_xml, name="pay_xml"),
]
machine_patterns: list[URLPattern | URLResolver] = [
    path("webhooks/stripe/", webhooks.stripe_webhook, name="stripe_webhook"),
    path("webhooks/mail/", bounce_webhook.mail_webhook, name="mail_webhook"),
]

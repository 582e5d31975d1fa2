"""The pages of hubs; consortium/urls.py includes them under the language."""

from django.urls import URLPattern, path

from provisioning import event_views, service_views, subscription_views, support_views, views

page_patterns: list[URLPattern] = [
    path("status/subscribe/", subscription_views.status_subscribe, name="status_subscribe"),
    path("status/confirm/<str:token>/", subscription_views.status_confirm, name="status_confirm"),
    path("status/leave/<str:token>/", subscription_views.status_leave, name="status_leave"),
    path("i/<slug:slug>/hubs/<slug:hub_slug>/", views.hub, name="hub"),
    path("i/<slug:slug>/hubs/<slug:hub_slug>/progress/", views.hub_progress, name="hub_progress"),
    path("i/<slug:slug>/hubs/<slug:hub_slug>/retry/", views.hub_retry, name="hub_retry"),
    path("i/<slug:slug>/hubs/<slug:hub_slug>/service/", service_views.service_level, name="service_level"),
    path("i/<slug:slug>/hubs/<slug:hub_slug>/events/", event_views.hub_events, name="hub_events"),
    path("i/<slug:slug>/hubs/<slug:hub_slug>/events/new/", event_views.event_new, name="event_new"),
    path("i/<slug:slug>/hubs/<slug:hub_slug>/events/<uuid:pk>/", event_views.event, name="event"),
    path("i/<slug:slug>/hubs/<slug:hub_slug>/events/<uuid:pk>/cancel/", event_views.event_cancel, name="event_cancel"),
    path("i/<slug:slug>/support/", support_views.support, name="support"),
    path("i/<slug:slug>/support/export.csv", support_views.support_csv, name="support_csv"),
    path("i/<slug:slug>/support/new/", support_views.support_new, name="support_new"),
    path("i/<slug:slug>/support/<uuid:pk>/", support_views.support_request, name="support_request"),
    path("i/<slug:slug>/support/<uuid:pk>/close/", support_views.support_close, name="support_close"),
    path("i/<slug:slug>/support/<uuid:pk>/files/<uuid:document>/", support_views.support_file, name="support_file"),
    path("i/<slug:slug>/usage/", views.usage, name="usage"),
    path("i/<slug:slug>/usage/export.csv", views.usage_csv, name="usage_csv"),
]

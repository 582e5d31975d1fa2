"""/api/v1/."""

from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.routers import SimpleRouter

from consortium.api import schema  # noqa: F401 - registers how tokens are described
from consortium.api.views import HubViewSet, InstitutionViewSet, InvoiceViewSet, UsageViewSet

router = SimpleRouter()
router.register("institutions", InstitutionViewSet, "api-institution")
router.register("hubs", HubViewSet, "api-hub")
router.register("usage", UsageViewSet, "api-usage")
router.register("invoices", InvoiceViewSet, "api-invoice")

urlpatterns = [
    path(
        "openapi.json",
        SpectacularJSONAPIView.as_view(authentication_classes=[], permission_classes=[]),
        name="api-openapi",
    ),
    path("", include(router.urls)),
]

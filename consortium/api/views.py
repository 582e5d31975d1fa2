"""The resources. Each is read-only, paged by cursor, and narrowed to the institution of the caller's token."""

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import exceptions, mixins, viewsets

from billing.models import Invoice
from consortium.api.serializers import HubDaySerializer, HubSerializer, InstitutionSerializer, InvoiceSerializer
from consortium.kernel.periods import Month, MonthInvalid
from consortium.kernel.rest.views import TenantView
from members.models import Institution
from members.permissions import Permission
from provisioning.models import Hub, HubDay


class _Resource[M: "Institution | Hub | HubDay | Invoice"](
    TenantView, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[M]
):
    """List and read one kind of row."""


@extend_schema_view(
    list=extend_schema(summary="The institution of the token"), retrieve=extend_schema(summary="One institution")
)
class InstitutionViewSet(_Resource[Institution]):
    """The caller's own institution: a list of one, so that every resource reads alike."""

    permission = Permission.VIEW_INSTITUTION
    serializer_class = InstitutionSerializer
    lookup_field = "slug"
    queryset = Institution.objects.none()

    def get_queryset(self) -> QuerySet[Institution]:
        """Only the token's institution."""
        return Institution.objects.filter(pk=self.request.user.institution_id).select_related("membership")  # type: ignore[union-attr]


@extend_schema_view(list=extend_schema(summary="Hubs"), retrieve=extend_schema(summary="One hub"))
class HubViewSet(_Resource[Hub]):
    """The institution's hubs."""

    permission = Permission.VIEW_HUBS
    serializer_class = HubSerializer
    lookup_field = "slug"
    queryset = Hub.objects.none()

    def get_queryset(self) -> QuerySet[Hub]:
        """Only the institution's."""
        return Hub.objects.filter(institution_id=self.request.user.institution_id)  # type: ignore[union-attr]


@extend_schema_view(
    list=extend_schema(
        summary="Use by hub and day",
        parameters=[OpenApiParameter("month", str, description="YYYY-MM"), OpenApiParameter("hub", str)],
    ),
    retrieve=extend_schema(summary="One day of one hub"),
)
class UsageViewSet(_Resource[HubDay]):
    """Use of the institution's hubs, one row for each hub and day."""

    permission = Permission.VIEW_USAGE
    serializer_class = HubDaySerializer
    queryset = HubDay.objects.none()

    def get_queryset(self) -> QuerySet[HubDay]:
        """Only the institution's; `month` and `hub` narrow it."""
        rows = HubDay.objects.filter(institution_id=self.request.user.institution_id).select_related("hub")  # type: ignore[union-attr]
        if hub := self.request.query_params.get("hub"):
            rows = rows.filter(hub__slug=hub)
        if text := self.request.query_params.get("month"):
            try:
                month = Month.parse(text)
            except MonthInvalid as error:
                raise exceptions.ValidationError({"month": [error.message]}) from error
            rows = rows.filter(day__gte=month.first_day, day__lt=month.next().first_day)
        return rows


@extend_schema_view(list=extend_schema(summary="Issued invoices"), retrieve=extend_schema(summary="One invoice"))
class InvoiceViewSet(_Resource[Invoice]):
    """What the institution was invoiced; drafts are not shown."""

    permission = Permission.VIEW_INVOICES
    serializer_class = InvoiceSerializer
    queryset = Invoice.objects.none()

    def get_queryset(self) -> QuerySet[Invoice]:
        """Only the institution's, with lines and balance in a bounded number of queries."""
        mine = Invoice.objects.filter(institution_id=self.request.user.institution_id, number__isnull=False)  # type: ignore[union-attr]
        return mine.select_related("balance").prefetch_related("lines")

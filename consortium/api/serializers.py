"""What each resource looks like in JSON: plain names, amounts as text, instants in UTC."""

from typing import Any

from rest_framework import serializers

from billing.models import Invoice, InvoiceLine
from consortium.kernel.rest.fields import AmountSerializerField
from members.models import Institution
from provisioning.models import Hub, HubDay


class InstitutionSerializer(serializers.ModelSerializer[Institution]):
    """A university."""

    membership = serializers.CharField(source="membership.status", read_only=True)

    class Meta:
        model = Institution
        fields = ["id", "slug", "ror", "name_en", "name_fr", "city", "province", "country", "zone", "membership"]
        read_only_fields = fields


class HubSerializer(serializers.ModelSerializer[Hub]):
    """A hub as the portal last observed it."""

    class Meta:
        model = Hub
        fields = [
            "id", "slug", "name", "status", "url", "version", "zone", "generation", "observed_generation", "healthy_at",
            "unreachable_since", "requested_at", "running_at",
        ]  # fmt: skip
        read_only_fields = fields


class HubDaySerializer(serializers.ModelSerializer[HubDay]):
    """One hub's use on one day of its zone. `generated` marks demonstration data."""

    hub = serializers.CharField(source="hub.slug", read_only=True)
    memory_gib_seconds = AmountSerializerField(read_only=True)
    storage_gib_seconds = AmountSerializerField(read_only=True)

    class Meta:
        model = HubDay
        fields = [
            "id", "hub", "day", "zone", "server_seconds", "memory_gib_seconds", "gpu_seconds",
            "storage_gib_seconds", "active_users", "sessions", "gap_seconds", "generated", "rolled_at",
        ]  # fmt: skip
        read_only_fields = fields


class InvoiceLineSerializer(serializers.ModelSerializer[InvoiceLine]):
    """One line of an invoice; `evidence` says how its amount came about."""

    quantity = AmountSerializerField(read_only=True)
    unit_price = AmountSerializerField(read_only=True)
    net = AmountSerializerField(read_only=True)

    class Meta:
        model = InvoiceLine
        fields = [
            "position", "kind", "description_en", "description_fr", "quantity", "unit", "unit_price", "net", "evidence",
        ]  # fmt: skip
        read_only_fields = fields


class InvoiceSerializer(serializers.ModelSerializer[Invoice]):
    """An issued invoice; `due` is what is still to be paid."""

    net_total = AmountSerializerField(read_only=True)
    tax_total = AmountSerializerField(read_only=True)
    total = AmountSerializerField(read_only=True)
    due = serializers.SerializerMethodField()
    lines = InvoiceLineSerializer(many=True, read_only=True)

    class Meta:
        model = Invoice
        fields = [
            "id", "number", "status", "period_start", "period_end", "currency", "po_number", "net_total", "tax_total",
            "total", "due", "issued_at", "due_on", "lines",
        ]  # fmt: skip
        read_only_fields = fields

    def get_due(self, invoice: Invoice) -> str:
        """The rest, from the balance that every way of paying locks."""
        amount: Any = invoice.balance.due
        return AmountSerializerField().to_representation(amount)

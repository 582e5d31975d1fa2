"""Staff pages of people: accounts, staff roles, seats and invitations at institutions."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from consortium.kernel.clock import now
from members.models import Invitation, OwnershipOffer, Seat, StaffSeat, User
from members.people import close_account
from members.permissions import Permission
from members.roles import StaffRole
from members.staff_admin import Act, ActingAdmin, StaffAdmin
from members.staff_seats import end_staff_seat, give_staff_seat
from members.upkeep import seats_due


class ReviewFilter(admin.SimpleListFilter):
    """Seats whose yearly review is due."""

    title = "yearly review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        """One choice."""
        return [("due", "due")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:  # noqa: ARG002 - Django's signature
        """Narrow to what is due now."""
        return queryset.filter(pk__in=seats_due(at=now()).values("pk")) if self.value() == "due" else queryset


@admin.register(Seat)
class SeatAdmin(StaffAdmin):
    """Who acts for whom."""

    list_display = ("user", "institution", "role", "source", "created_at", "reviewed_at", "ended_at")
    list_filter = ("role", "source", ReviewFilter, ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("institution", "user")
    search_fields = ("user__email", "institution__name_en")


@admin.register(Invitation)
class InvitationAdmin(StaffAdmin):
    """Who was invited by whom; owners invite, staff look."""

    list_display = ("email", "institution", "role", "status", "invited_by", "sent_at", "expires_at", "accepted_by")
    list_filter = ("status", "role")
    list_select_related = ("institution", "invited_by", "accepted_by")
    search_fields = ("email", "institution__name_en")


@admin.register(OwnershipOffer)
class OwnershipOfferAdmin(StaffAdmin):
    """Who hands the ownership over to whom."""

    list_display = ("institution", "offered_by", "offered_to", "status", "created_at", "decided_at")
    list_filter = ("status",)
    list_select_related = ("institution", "offered_by", "offered_to")


class GiveStaffSeatForm(forms.ModelForm):  # type: ignore[type-arg] # generic to the type checker alone
    """Who becomes staff, in which role."""

    class Meta:
        model = StaffSeat
        fields = ("user", "role")

    def clean(self) -> dict[str, Any]:
        """Refuse a role that the person has, and a closed account, with a sentence."""
        cleaned: dict[str, Any] = super().clean() or {}
        user, role = cleaned.get("user"), cleaned.get("role")
        if isinstance(user, User) and not user.is_active:
            self.add_error("user", "This account is closed.")
        if StaffSeat.objects.filter(user=user, role=role, ended_at=None).exists():
            self.add_error("role", "This person has that staff role already.")
        return cleaned


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(max_length=5_000, widget=forms.Textarea(attrs={"rows": 4}))


@admin.register(StaffSeat)
class StaffSeatAdmin(ActingAdmin):
    """Roles of consortium staff; only a superuser hands them out and ends them."""

    list_display = ("user", "role", "ended_at")
    list_filter = ("role", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    autocomplete_fields = ("user",)
    form = GiveStaffSeatForm
    fields = ("user", "role")
    acts = (
        Act(
            name="end",
            label="End this staff role",
            explain="The person loses the role at once; with the last one they are staff no more, and signed out.",
            form=ReasonForm,
            run=end_staff_seat,
            states=("live",),
            permission=Permission.READ_AUDIT,  # not asked: see acts_for
            danger=True,
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A superuser."""
        return self._is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Nobody: a role is given, and ended by its act."""
        return False

    def acts_for(self, request: HttpRequest, row: Any) -> list[Act]:
        """A superuser's, whatever staff role they hold."""
        return [act for act in self.acts if row.status in act.states and self._is_superuser(request)]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: ARG002
        """Hand the role out by the domain's function, which audits it."""
        assert isinstance(request.user, User)  # noqa: S101 - a superuser, see has_add_permission
        made = give_staff_seat(user=obj.user, role=StaffRole(obj.role), by=request.user, at=now())
        obj.pk = made.pk


@admin.register(User)
class UserAdmin(StaffAdmin):
    """People with an account. A superuser may close an account, which signs the person out everywhere."""

    list_display = ("email", "name", "language", "is_staff", "is_active", "date_joined")
    list_filter = ("is_staff", "is_active", "language")
    search_fields = ("email", "name")
    fields = ("email", "name", "language", "is_active", "is_staff", "date_joined", "last_login")
    readonly_fields = ("email", "is_staff", "date_joined", "last_login")  # staff roles make staff

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        """People sign up themselves."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """A superuser."""
        return self._is_superuser(request)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save, and end every session of an account that was closed."""
        super().save_model(request, obj, form, change)
        if "is_active" in form.changed_data and not obj.is_active:
            assert isinstance(request.user, User)  # noqa: S101 - a superuser, see has_change_permission
            close_account(obj, by=request.user, at=now())

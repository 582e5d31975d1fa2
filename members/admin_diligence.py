"""Staff keep the due-diligence pack: a document, its versions, its next review."""

from datetime import date
from typing import Any

from django import forms
from django.contrib import admin
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from consortium.kernel.clock import now
from consortium.models import Document
from members import diligence
from members.admin_inlines import ReadOnlyInline
from members.models import DiligenceDocument, DiligenceVersion, User
from members.permissions import Permission
from members.staff_admin import Act, ActingAdmin


def _a_year_on() -> date:
    today = now().date()
    return today.replace(year=today.year + 1, day=min(today.day, 28))


class VersionForm(forms.Form):
    """A version: its files, the day it bears, and when somebody looks at it again."""

    file_en = forms.FileField(label="English file", required=False, allow_empty_file=True)
    file_fr = forms.FileField(label="French file", required=False, allow_empty_file=True)
    dated = forms.DateField(
        label="Date of the document", widget=forms.DateInput(attrs={"type": "date"}), initial=lambda: now().date()
    )
    review_on = forms.DateField(
        label="To be reviewed by", widget=forms.DateInput(attrs={"type": "date"}), initial=_a_year_on
    )


def publish(
    row: DiligenceDocument,
    *,
    file_en: "UploadedFile[Any] | None",
    file_fr: "UploadedFile[Any] | None",
    dated: date,
    review_on: date,
    by: User,
    at: Any,
) -> None:
    """Publish what was uploaded."""
    sent = {"en": file_en, "fr": file_fr}
    files = {
        # One byte more than is allowed is enough to know that it is too large.
        language: diligence.PackFile(file.name or "", file.read(diligence.LARGEST + 1))
        for language, file in sent.items()
        if file is not None
    }
    diligence.publish_version(row, files=files, dated=dated, review_on=review_on, by=by, at=at)


class OverdueFilter(admin.SimpleListFilter):
    """Documents that somebody should have looked at by now."""

    title = "review"
    parameter_name = "overdue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002 - Django's
        """One choice beside "all"."""
        return [("yes", "Overdue")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":  # noqa: ARG002
        """Filter."""
        return queryset & diligence.overdue_documents(now().date()) if self.value() == "yes" else queryset


class VersionInline(ReadOnlyInline):
    """The versions of a document."""

    model = DiligenceVersion
    fields = ("number", "dated", "published_by", "published_at", "files")
    readonly_fields = fields

    @admin.display(description="files")
    def files(self, row: DiligenceVersion) -> SafeString:
        """Links to the files, with their hashes."""
        stored = Document.objects.filter(subject_type=row._meta.label, subject_id=str(row.pk)).order_by("language")  # noqa: SLF001
        return format_html_join(
            "",
            '<p><a href="{}">{}</a><br>SHA-256 {}</p>',
            ((reverse("due_diligence_file", args=[row.pk, each.language]), each.name, each.sha256) for each in stored),
        )


@admin.register(DiligenceDocument)
class DiligenceDocumentAdmin(ActingAdmin):
    """The pack that universities read before they sign."""

    editor = Permission.REVIEW_APPLICATIONS
    list_display = ("title_en", "kind", "status", "newest", "review_on", "state")
    list_filter = (OverdueFilter, "status", "kind")
    search_fields = ("title_en", "title_fr", "slug")
    fields = ("slug", "kind", "title_en", "title_fr", "description_en", "description_fr", "review_on", "status")
    inlines = (VersionInline,)
    acts = (
        Act(
            name="publish",
            label="Publish a version",
            explain="Applicants and members download it from now on; earlier versions stay in the records.",
            form=VersionForm,
            run=publish,
            states=("current",),
            permission=Permission.REVIEW_APPLICATIONS,
        ),
        Act(
            name="retire",
            label="Retire",
            explain="Nobody finds it in the pack any more. Nothing is deleted.",
            form=forms.Form,
            run=diligence.retire_document,
            states=("current",),
            permission=Permission.REVIEW_APPLICATIONS,
            danger=True,
        ),
        Act(
            name="restore",
            label="Restore",
            explain="It is in the pack again, with its newest version.",
            form=forms.Form,
            run=diligence.restore_document,
            states=("retired",),
            permission=Permission.REVIEW_APPLICATIONS,
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002 - Django's
        """Its state moves by the acts; the name of its files stays."""
        return ("status", "slug") if obj else ("status",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A new document is made now."""
        if not change:
            obj.created_at = now()
        super().save_model(request, obj, form, change)

    @admin.display(description="newest version")
    def newest(self, row: DiligenceDocument) -> str:
        """The newest version with its day."""
        version = row.versions.first()
        return f"{version.number}, {version.dated}" if version else "none yet: nobody sees it"

    @admin.display(description="review")
    def state(self, row: DiligenceDocument) -> SafeString | str:
        """Whether somebody must look at it."""
        if row.status != "current":
            return "retired"
        late = (now().date() - row.review_on).days
        return format_html("<strong>▲ overdue by {} days</strong>", late) if late >= 0 else f"in {-late} days"

"""The due-diligence pack: what a university's privacy, security and procurement offices read before it signs."""

from django.db import models

from consortium.kernel.fields import Row
from consortium.kernel.language import Bilingual
from consortium.kernel.states import choices
from members.models.people import User
from members.states import DILIGENCE

KINDS = [
    ("hecvat", "HECVAT answers"),
    ("privacy", "privacy impact"),
    ("data_flow", "data flow"),
    ("subprocessors", "subprocessors"),
    ("procurement", "procurement basis"),
    ("insurance", "insurance"),
    ("vendor", "vendor facts"),
    ("other", "other"),
]


class DiligenceDocument(Row):
    """One document of the pack, in versions; `review_on` is the day by which somebody must look at it again."""

    slug = models.SlugField("name of its files", max_length=60, unique=True)
    kind = models.CharField(max_length=20, choices=KINDS)
    title_en = models.CharField("English title", max_length=200)
    title_fr = models.CharField("French title", max_length=200)
    description_en = models.TextField("English description", blank=True)
    description_fr = models.TextField("French description", blank=True)
    status = models.CharField(max_length=20, choices=choices(DILIGENCE.states), default=DILIGENCE.initial)
    review_on = models.DateField("to be reviewed by")
    created_at = models.DateTimeField()

    title = Bilingual("title")
    description = Bilingual("description")

    class Meta:
        verbose_name = "due-diligence document"
        ordering = ["kind", "title_en"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=[value for value, _words in KINDS]), name="diligencedocument_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return self.title_en


class DiligenceVersion(Row):
    """A dated version of a document; its files are kernel documents of this row. Append-only."""

    document = models.ForeignKey(DiligenceDocument, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    dated = models.DateField()
    published_by = models.ForeignKey(User, models.PROTECT, null=True)
    published_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["document", "number"], name="diligenceversion_once"),
            models.CheckConstraint(condition=models.Q(number__gte=1), name="diligenceversion_number"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"

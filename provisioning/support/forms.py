"""The forms of support."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from consortium.kernel.uploads import KINDS, Upload
from provisioning.models import Hub

LONG = 10_000


class _SeveralFiles(forms.FileInput):
    """An input for several files."""

    allow_multiple_selected = True

    def __init__(self) -> None:
        super().__init__(attrs={"accept": ",".join(KINDS), "multiple": True})


class FilesField(forms.FileField):
    """Several files, read into memory; their number and size are bounded by the page before anything is read."""

    def __init__(self) -> None:
        super().__init__(
            label=_("Files"),
            required=False,
            allow_empty_file=True,
            widget=_SeveralFiles,
            help_text=_(
                "At most 5, of 10 MB each: pictures, PDF, text, logs, CSV, JSON, notebooks, zip. "
                "Leave out passwords, and people's data that is not needed."
            ),
        )

    def clean(self, data: Any, initial: Any = None) -> list[Upload]:
        """Return what was sent."""
        one = super().clean
        sent = data if isinstance(data, (list, tuple)) else [data] if data else []
        kept: Sequence[UploadedFile[bytes]] = [file for each in sent if (file := one(each, initial))]
        return [Upload(str(file.name), bytes(file.read())) for file in kept]


class MessageForm(forms.Form):
    """A word of either side, with files."""

    text = forms.CharField(label=_("Your message"), max_length=LONG, widget=forms.Textarea(attrs={"rows": 5}))
    attachments = FilesField()


class SupportForm(forms.Form):
    """A new request. `choices` are the severities' codes with their words."""

    hub = forms.ChoiceField(label=_("Hub"))
    severity = forms.ChoiceField(label=_("How bad it is"), widget=forms.RadioSelect)
    title = forms.CharField(
        label=_("In a few words"), max_length=150, help_text=_("For example: servers stop after five minutes.")
    )
    text = forms.CharField(
        label=_("What happens"),
        max_length=LONG,
        help_text=_("Since when, to whom, what was tried, and the words of any error."),
        widget=forms.Textarea(attrs={"rows": 7}),
    )
    attachments = FilesField()

    def __init__(self, *args: Any, hubs: Sequence[Hub], choices: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, offered in (("hub", [(hub.slug, hub.name) for hub in hubs]), ("severity", list(choices))):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
            field.choices = offered

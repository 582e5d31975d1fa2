"""How a bound form field is shown: its kind, its classes, and the ids that tie label, hint and error to the input."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BaseForm
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One line of the error summary: the message and the id of the input it leads to ("" for the whole form)."""

    message: str
    target: str


def problems(form: BaseForm) -> list[Problem]:
    """Will list what is wrong in the order of the form, what concerns the form as a whole first."""
    found = [Problem(message=str(message), target="") for message in form.non_field_errors()]
    for bound in form:
        if bound.is_hidden:
            found += [Problem(message=f"{bound.label}: {message}", target="") for message in bound.errors]
        else:
            target = focus_target(bound)
            found += [Problem(message=_told(bound, error), target=target) for error in bound.errors.as_data()]
    return found


def _told(bound: BoundField, error: ValidationError) -> str:
    """Will name the field where the message is Django's "This field is required", which says nothing by itself."""
    message = " ".join(error.messages)
    if error.code == "required":
        label = str(bound.label)
        if label.endswith(("?", ":", ".", "!")):
            return f"{label} {message}"
        return _("%(field)s: %(message)s") % {"field": label, "message": message}
    return message


def focus_target(bound: BoundField) -> str:
    """Will return the id of the element to focus: of a group of choices, its first."""
    if _kind(bound) in {"radios", "checkboxes"}:
        return f"{bound.auto_id}_0"
    return str(bound.id_for_label or bound.auto_id)


def view_of(
    bound: BoundField, *, label: object, hint: object, width: str, attributes: dict[str, str]
) -> dict[str, Any]:
    """Will return all that components/field.html shows."""
    kind, ident = _kind(bound), str(bound.auto_id)
    hint = hint or bound.help_text
    described = [name for name, there in ((f"{ident}_hint", hint), (f"{ident}_error", bound.errors)) if there]
    attrs = {name: value for name, value in attributes.items() if value}
    # allauth's forms bring placeholders that say the label a second time, and sometimes in other words.
    bound.field.widget.attrs.pop("placeholder", None)
    if kind not in {"radios", "checkboxes"}:  # a group is described by its fieldset
        attrs["aria-describedby"] = " ".join(described)
        attrs["class"] = _classes(kind, bound)
    # An absent description must not fall back on Django's own, whose element we do not write.
    widget = (
        bound.as_widget(attrs={k: v for k, v in attrs.items() if v}) if kind not in {"radios", "checkboxes"} else ""
    )
    return {
        "bound": bound,
        "kind": kind,
        "widget": widget,
        "choices": list(bound) if kind in {"radios", "checkboxes"} else [],
        "label": label or bound.label,
        "hint": hint,
        "ident": ident,
        "target": focus_target(bound),
        "errors": list(bound.errors),
        "described": " ".join(described),
        "width": width,
        "optional": not bound.field.required and kind != "checkbox",
    }


def _kind(bound: BoundField) -> str:
    widget = bound.field.widget
    # CheckboxSelectMultiple derives from RadioSelect, so it is asked first.
    kinds: tuple[tuple[type[forms.Widget], str], ...] = (
        (forms.CheckboxSelectMultiple, "checkboxes"),
        (forms.RadioSelect, "radios"),
        (forms.CheckboxInput, "checkbox"),
        (forms.Select, "select"),
        (forms.Textarea, "textarea"),
        (forms.FileInput, "file"),
    )
    return next((kind for widget_type, kind in kinds if isinstance(widget, widget_type)), "input")


def _classes(kind: str, bound: BoundField) -> str:
    own = {"select": "form-select", "checkbox": "form-check-input"}.get(kind, "form-control")
    given = str(bound.field.widget.attrs.get("class", ""))
    return " ".join(filter(None, [own, "is-invalid" if bound.errors else "", given]))

"""The icons of the portal: drawn by us on a grid of 16, one stroke weight, told apart by shape before colour."""

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

TONES = {"neutral": "ring", "info": "disc", "success": "check-disc", "warning": "triangle", "danger": "octagon"}

_SHAPES = {
    # Statuses: each has an outline of its own.
    "ring": '<circle cx="8" cy="8" r="5.25"/>',
    "disc": '<circle cx="8" cy="8" r="6.75" class="fill"/><path class="cut" d="M8 7.4v3.6M8 4.9v.1"/>',
    "check-disc": '<circle cx="8" cy="8" r="6.75" class="fill"/><path class="cut" d="m5 8.3 2.1 2.1L11 6.2"/>',
    "triangle": '<path class="fill" d="M8 2.2 14.4 13.4H1.6z"/><path class="cut" d="M8 6.3v3.2M8 11.4v.1"/>',
    "octagon": '<path class="fill" d="M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2z"/>'
    '<path class="cut" d="m5.8 5.8 4.4 4.4m0-4.4-4.4 4.4"/>',
    # Everything else.
    "arrow-right": '<path d="M2.5 8h11M9 3.5 13.5 8 9 12.5"/>',
    "arrow-left": '<path d="M13.5 8h-11M7 3.5 2.5 8 7 12.5"/>',
    "chevron-down": '<path d="m3.5 6 4.5 4.5L12.5 6"/>',
    "check": '<path d="m3 8.5 3.2 3.2L13 4.8"/>',
    "copy": '<path d="M5.5 5.5h8v8h-8z"/><path d="M10.5 5.5v-3h-8v8h3"/>',
    "cross": '<path d="m3.5 3.5 9 9m0-9-9 9"/>',
    "download": '<path d="M8 2v8.5M4.5 7 8 10.5 11.5 7M2.5 13.5h11"/>',
    "external": '<path d="M9 2.5h4.5V7M13.5 2.5 7.5 8.5M11.5 9.5v4h-9v-9h4"/>',
    "document": '<path d="M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3M5.8 8h4.4M5.8 11h4.4"/>',
    "person": '<circle cx="8" cy="5" r="2.75"/><path d="M2.5 14c.6-3 2.7-4.5 5.5-4.5s4.9 1.5 5.5 4.5"/>',
    "clock": '<circle cx="8" cy="8" r="6.25"/><path d="M8 4.3V8l2.6 1.7"/>',
}


def icon(name: str) -> SafeString:
    """Will write a decorative icon. Raises KeyError, with the names there are, for one we have not drawn."""
    if name not in _SHAPES:
        raise KeyError(f"There is no icon {name!r}. There are: {', '.join(sorted(_SHAPES))}.")
    shape = mark_safe(_SHAPES[name])  # noqa: S308 - a constant of this module
    return format_html('<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{}</svg>', shape)


def tone_icon(tone: str) -> SafeString:
    """Will write the shape of a tone; an unknown tone has the neutral ring."""
    return icon(TONES.get(tone, "ring"))

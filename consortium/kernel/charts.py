"""Bar charts as plain geometry: the same drawing serves the page and the PDF, always beside its data table.

Pure. Every coordinate is text with a full stop, because Django writes numbers in the reader's language ("1,5") and SVG
does not read that. Colours are presentational attributes, which a style sheet may override through the classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

Number = Decimal | float | int

WIDTH = 360  # user units: a little over a pixel each where there is room, still legible at 290 pixels
COLOURS = ("#0d5c63", "#c17a16", "#5b9592", "#5d4a7d")  # the fallback where no style sheet reaches; see tokens.css
INK, SOFT, RULE = "#17211f", "#4a5755", "#d9dfdd"


class UndrawableError(ValueError):
    """The figures given cannot be drawn; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar: its label, its value, and the value as people read it ("$1,234.50")."""

    label: str
    value: Number
    text: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """One part of stacked columns: a name, and for each category a value and its text."""

    name: str
    values: Sequence[Number]
    texts: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Rect:
    """One drawn bar, with what a pointer resting on it reads."""

    x: str
    y: str
    width: str
    height: str
    series: int
    colour: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One drawn line: "base" under the bars, "grid" behind them."""

    x1: str
    y1: str
    x2: str
    y2: str
    kind: str
    colour: str


@dataclass(frozen=True, kw_only=True)
class Text:
    """One drawn text: "label", "value" or "tick"."""

    x: str
    y: str
    text: str
    kind: str
    anchor: str = "start"
    size: str = "12.5"
    colour: str = INK


@dataclass(frozen=True, kw_only=True)
class Key:
    """One entry of the legend, in the order of the stack."""

    name: str
    series: int
    colour: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart with all that components/chart.html writes: drawing, legend and table."""

    ident: str
    title: str
    description: str
    width: str
    height: str
    rects: tuple[Rect, ...]
    lines: tuple[Line, ...]
    texts: tuple[Text, ...]
    legend: tuple[Key, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def horizontal_bars(
    *, title: str, description: str, label_heading: str, value_heading: str, bars: Sequence[Bar]
) -> Chart:
    """Will draw one bar a row under its label, longest value full width: for comparing named things.

    Raises UndrawableError for a negative value: a bar has no length below zero.
    """
    _refuse_negative(title, [bar.value for bar in bars])
    step, thick, first = 42.0, 14.0, 16.0
    largest = max((float(bar.value) for bar in bars), default=0.0) or 1.0
    rects, texts = [], []
    for index, bar in enumerate(bars):
        baseline = first + index * step
        texts.append(Text(x="0", y=_n(baseline), text=_shortened(bar.label, 34), kind="label"))
        texts.append(Text(x=_n(WIDTH), y=_n(baseline), text=bar.text, kind="value", anchor="end"))
        length = float(bar.value) / largest * WIDTH
        if length:
            rects.append(
                _rect(
                    x=0, y=baseline + 6, width=max(length, 1.5), height=thick, series=0, text=f"{bar.label}: {bar.text}"
                )
            )
    return Chart(
        ident=_ident(title, description),
        title=title,
        description=description,
        width=_n(WIDTH),
        height=_n(first + max(len(bars), 1) * step - 16),
        rects=tuple(rects),
        lines=(),
        texts=tuple(texts),
        legend=(),
        headings=(label_heading, value_heading),
        rows=tuple((bar.label, bar.text) for bar in bars),
    )


def stacked_columns(
    *,
    title: str,
    description: str,
    label_heading: str,
    categories: Sequence[str],
    series: Sequence[Series],
    tick_texts: Sequence[str] | None = None,
    short_categories: Sequence[str] | None = None,
) -> Chart:
    """Will draw one column a category, its series stacked from the first upwards: for months beside each other.

    The axis has the round numbers of `ticks_for`; pass `tick_texts` for them in the reader's language.
    `short_categories` stand under the columns ("Nov"), `categories` in the table ("November 2026").
    Raises UndrawableError for negative values or a series whose length is not that of the categories.
    """
    for one in series:
        if not len(one.values) == len(one.texts) == len(categories):
            raise UndrawableError(
                f"{title}: {one.name!r} has {len(one.values)} values for {len(categories)} categories."
            )
        _refuse_negative(title, one.values)
    ticks = ticks_for(series)
    texts_of_ticks = list(tick_texts) if tick_texts else [f"{tick:g}" for tick in ticks]
    left, top, plot_height = 10.0 + 6.5 * max(len(text) for text in texts_of_ticks), 10.0, 170.0
    frame = _Frame(left=left, top=top, height=plot_height, largest=ticks[-1], count=max(len(categories), 1))
    lines, texts = _axis(frame, ticks, texts_of_ticks)
    for index, label in enumerate(short_categories or categories):
        texts.append(
            Text(
                x=_n(frame.centre(index)),
                y=_n(top + plot_height + 18),
                text=label,
                kind="tick",
                anchor="middle",
                size="11.5",
                colour=SOFT,
            )
        )
    return Chart(
        ident=_ident(title, description),
        title=title,
        description=description,
        width=_n(WIDTH),
        height=_n(top + plot_height + 28),
        rects=tuple(_columns(frame, categories, series)),
        lines=tuple(lines),
        texts=tuple(texts),
        legend=_legend(series),
        headings=(label_heading, *(one.name for one in series)),
        rows=tuple((category, *(one.texts[i] for one in series)) for i, category in enumerate(categories)),
    )


def ticks_for(series: Sequence[Series]) -> list[float]:
    """Will return the round numbers of the axis, from zero to at least the tallest column, at most five steps."""
    heights = [sum(float(value) for value in column) for column in zip(*(one.values for one in series), strict=True)]
    largest = max(heights, default=0.0) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(largest / 4))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude * 4 >= largest * 0.999999)
    count = math.ceil(largest / step - 1e-9)
    return [round(step * index, 10) for index in range(count + 1)]


@dataclass(frozen=True, kw_only=True)
class _Frame:
    left: float
    top: float
    height: float
    largest: float
    count: int

    @property
    def slot(self) -> float:
        return (WIDTH - self.left) / self.count

    def centre(self, index: int) -> float:
        return self.left + self.slot * (index + 0.5)

    def y(self, value: float) -> float:
        return self.top + self.height * (1 - value / self.largest)


def _axis(frame: _Frame, ticks: Sequence[float], tick_texts: Sequence[str]) -> tuple[list[Line], list[Text]]:
    lines, texts = [], []
    for tick, text in zip(ticks, tick_texts, strict=True):
        y = frame.y(tick)
        kind, colour = ("grid", RULE) if tick else ("base", SOFT)
        lines.append(Line(x1=_n(frame.left), y1=_n(y), x2=_n(WIDTH), y2=_n(y), kind=kind, colour=colour))
        texts.append(
            Text(x=_n(frame.left - 8), y=_n(y + 4), text=text, kind="tick", anchor="end", size="11.5", colour=SOFT)
        )
    return lines, texts


def _columns(frame: _Frame, categories: Sequence[str], series: Sequence[Series]) -> list[Rect]:
    thick = min(frame.slot * 0.62, 36.0)
    rects = []
    for index, category in enumerate(categories):
        floor = 0.0
        for number, one in enumerate(series):
            value = float(one.values[index])
            if value:
                bottom, up = frame.y(floor), frame.y(floor + value)
                gap = 1.0 if floor else 0.0  # parts that touch are told apart by a line of paper
                height = max(bottom - up - gap, 0.5)
                left = frame.centre(index) - thick / 2
                what = f"{category}, {one.name}: {one.texts[index]}"
                rects.append(_rect(x=left, y=up, width=thick, height=height, series=number, text=what))
            floor += value
    return rects


def _legend(series: Sequence[Series]) -> tuple[Key, ...]:
    if len(series) < 2:
        return ()
    return tuple(Key(name=one.name, series=i, colour=_colour(i)) for i, one in enumerate(series))


def _rect(*, x: float, y: float, width: float, height: float, series: int, text: str) -> Rect:
    return Rect(x=_n(x), y=_n(y), width=_n(width), height=_n(height), series=series, colour=_colour(series), text=text)


def _colour(series: int) -> str:
    return COLOURS[series % len(COLOURS)]


def _refuse_negative(title: str, values: Sequence[Number]) -> None:
    for value in values:
        if not float(value) >= 0:
            raise UndrawableError(
                f"{title}: {value} cannot be drawn as a bar. Show it in the table and draw it as zero."
            )


def _shortened(label: str, length: int) -> str:
    return label if len(label) <= length else f"{label[: length - 1].rstrip()}…"


def _ident(*parts: str) -> str:
    return f"chart-{sha256(''.join(parts).encode()).hexdigest()[:10]}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

"""The look: what the components promise to every screen. No test here needs a database."""

import math
import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.template import engines
from django.template.loader import render_to_string
from django.utils import translation

from consortium.kernel import charts, formats, geography
from tests.unit.consortium import gallery

ROOT = Path(__file__).resolve().parents[3]
STATIC = ROOT / "consortium/static/portal"
NOON = datetime(2026, 11, 12, 17, 0, tzinfo=UTC)


class Page(HTMLParser):
    """Collects the elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def render(source: str, language: str = "en", **context: Any) -> str:
    with translation.override(language):
        return engines["django"].from_string(source).render(context)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_to_string("components/gallery.html", gallery.context()))


# --- The strict policy and the outline of a page ----------------------------------------------------------------------


def test_no_component_carries_inline_style_or_script(page: Page) -> None:
    for tag, attributes in page.elements:
        assert tag != "style"
        assert tag != "script" or attributes.get("src")
        assert not [name for name in attributes if name == "style" or re.match(r"on[a-z]+$|hx-on", name)], tag


def test_every_asset_comes_from_our_own_host(page: Page) -> None:
    addresses = [a.get("src") or a.get("href") for a in page.all("script", "link", "img")]
    assert addresses
    assert all(address and address.startswith("/static/") for address in addresses)


def test_every_asset_the_frame_names_is_there(page: Page) -> None:
    for attributes in page.all("script", "link"):
        address = str(attributes.get("src") or attributes.get("href"))
        assert (STATIC.parent / address.removeprefix("/static/")).is_file(), address


def test_a_page_has_one_first_heading_and_a_skip_link_to_its_main_part(page: Page) -> None:
    assert len(page.all("h1")) == 1
    assert page.all("a")[0]["href"] == "#main"
    assert page.all("main")[0]["id"] == "main"


def test_every_id_is_used_once_and_every_reference_to_an_id_leads_somewhere(page: Page) -> None:
    ids = [str(attributes["id"]) for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("for", "aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(ids), attributes


def test_the_title_begins_with_error_when_the_form_has_errors() -> None:
    assert "<title>Error: Components" in render_to_string("components/gallery.html", gallery.context())
    fine = gallery.context() | {"form_errors": False}
    assert "<title>Components" in render_to_string("components/gallery.html", fine)


@pytest.mark.parametrize("name", ["403.html", "404.html", "500.html"])
def test_error_pages_render_without_any_context(name: str) -> None:
    assert "<h1" in render_to_string(name)


def test_each_component_says_how_to_use_it() -> None:
    for path in (ROOT / "templates/components").glob("*.html"):
        assert "{% comment %}" in path.read_text(encoding="utf-8").split("<")[0], path.name


# --- Formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "amount", "currency", "shown"),
    [
        ("en", "1234.5", "CAD", "$1,234.50"),
        ("fr", "1234.5", "CAD", "1\xa0234,50\xa0$"),
        ("en", "-3", "USD", "−US$3.00"),
        ("en", "1200", "JPY", "JP¥1,200"),
    ],
)
def test_money_is_written_the_canadian_way(language: str, amount: str, currency: str, shown: str) -> None:
    assert formats.money_text(Decimal(amount), currency, language=language) == shown


def test_money_can_show_its_code_and_more_digits() -> None:
    assert formats.money_text(Decimal("1.6E-7"), "USD", language="en", code=True, digits=7) == "0.0000002\xa0USD"
    assert formats.money_text(Decimal(5), "CAD", language="fr", code=True) == "5,00\xa0CAD"


def test_no_amount_reads_as_a_dash() -> None:
    assert "–" in render('{% money None "CAD" %}')


def test_an_instant_names_its_zone() -> None:
    assert formats.instant_text(NOON, "America/St_Johns", language="en") == "12 Nov 2026, 13:30 NST"
    assert formats.instant_text(NOON, "UTC", language="fr") == "12 nov. 2026, 17 h 00 UTC"


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        formats.instant_text(NOON.replace(tzinfo=None), "UTC", language="en")


def test_the_first_of_a_month_is_an_ordinal_in_french() -> None:
    assert formats.day_text(NOON.date().replace(day=1), language="fr") == "1er novembre 2026"


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0 s"), (65, "1 min 05 s"), (3725, "1 h 02 min")])
def test_durations_show_their_two_largest_units(seconds: int, shown: str) -> None:
    assert formats.duration_text(seconds, language="en").replace("\xa0", " ") == shown


# --- Components -------------------------------------------------------------------------------------------------------


def test_text_given_to_a_component_is_escaped() -> None:
    assert "&lt;b&gt;" in render("{% status_badge text %}", text="<b>")
    assert "&lt;b&gt;" in render("{% card title=text %}{{ text }}{% endcard %}", text="<b>")


def test_a_status_has_a_shape_of_its_own_for_each_tone() -> None:
    shapes = {render("{% status_badge 'x' tone %}", tone=tone).split("<svg")[1] for tone in gallery.context()["tones"]}
    assert len(shapes) == 5


def test_an_icon_that_does_not_exist_names_those_that_do() -> None:
    with pytest.raises(KeyError, match=r"There are: .*check"):
        render("{% icon 'unicorn' %}")


def test_a_wrong_field_is_tied_to_its_message_and_the_summary_leads_to_it() -> None:
    form = gallery.RequestForm({"name": "", "domain": "ubc.ca"})
    page = Page(render("{% form_errors form %}{% form_fields form %}", form=form))
    name = next(a for a in page.all("input") if a.get("name") == "name")
    assert name["aria-invalid"] == "true"
    assert name["aria-describedby"] == "id_name_hint id_name_error"
    assert {"#id_name", "#id_size", "#id_use_0", "#id_tools_0", "#id_agree"} == {a["href"] for a in page.all("a")}


def test_a_summary_names_the_field_that_was_left_out() -> None:
    form = gallery.RequestForm({})
    assert "E-mail domain: This field is required." in render("{% form_errors form %}", form=form)
    assert "What is it for? This field is required." in render("{% form_errors form %}", form=form)


def test_a_form_without_errors_has_no_summary() -> None:
    assert render("{% form_errors form %}", form=gallery.RequestForm()) == ""


@pytest.mark.parametrize(
    ("state", "polls"),
    [("queued", True), ("running", True), ("stalled", True), ("failed", False), ("succeeded", False)],
)
def test_progress_polls_only_until_the_work_is_over(state: str, polls: bool) -> None:
    html = render('{% include "components/progress.html" with poll_url="/p/" %}', job=gallery.job(state))
    assert ('hx-trigger="every 2s"' in html) is polls


# --- Charts -----------------------------------------------------------------------------------------------------------


def test_a_chart_is_named_described_and_repeated_as_a_table() -> None:
    html = render("{% bar_chart chart %}", chart=gallery.months())
    assert "<title" in html
    assert "compute doubles when term begins" in html
    assert html.count("<td") == 18


def test_geometry_is_not_written_in_the_readers_language() -> None:
    html = render("{% bar_chart chart %}{% hub_map markers %}", "fr", chart=gallery.months(), markers=gallery.markers())
    for attribute in re.findall(r' (?:x|y|cx|cy|r|width|height|x1|y1|x2|y2)="([^"]+)"', html):
        assert float(attribute) >= 0


def test_stacked_parts_add_up_to_the_height_of_the_total() -> None:
    chart = charts.stacked_columns(
        title="t",
        description="d",
        label_heading="Month",
        categories=["a"],
        series=[charts.Series(name=n, values=[v], texts=[str(v)]) for n, v in (("x", 30), ("y", 70))],
    )
    assert sum(float(rect.height) for rect in chart.rects) == pytest.approx(170, abs=1.5)


def test_the_longest_bar_spans_the_chart_and_nothing_is_drawn_for_zero() -> None:
    chart = gallery.shares()
    assert float(chart.rects[0].width) == charts.WIDTH
    assert len(chart.rects) == len(chart.rows) - 1


def test_a_negative_value_is_refused_by_name() -> None:
    with pytest.raises(charts.UndrawableError, match="Credits: -1"):
        charts.horizontal_bars(
            title="Credits",
            description="",
            label_heading="",
            value_heading="",
            bars=[charts.Bar(label="a", value=-1, text="-1")],
        )


@pytest.mark.parametrize("largest", [0.004, 1, 7, 99.9, 1000, 123456])
def test_an_axis_has_few_round_ticks_and_reaches_the_tallest_column(largest: float) -> None:
    ticks = charts.ticks_for([charts.Series(name="x", values=[largest], texts=[""])])
    assert ticks[0] == 0
    assert ticks[-1] >= largest * 0.999999
    assert len(ticks) <= 6


# --- The map ----------------------------------------------------------------------------------------------------------


def test_north_is_up_and_east_is_right() -> None:
    victoria, toronto, st_johns, alert = (
        geography.project(*place) for place in ((48.4, -123.4), (43.7, -79.4), (47.6, -52.7), (82.5, -62.3))
    )
    assert victoria[0] < toronto[0] < st_johns[0]
    assert alert[1] < min(victoria[1], toronto[1], st_johns[1])


def test_distances_keep_their_proportion() -> None:
    # Toronto to Vancouver is 3,355 km, Toronto to Montréal 504 km: a map is no globe, but within some per cent.
    toronto, vancouver, montreal = (
        geography.project(*place) for place in ((43.66, -79.40), (49.26, -123.25), (45.50, -73.58))
    )
    ratio = math.dist(toronto, vancouver) / math.dist(toronto, montreal)
    assert ratio == pytest.approx(3355 / 504, rel=0.05)


def test_every_province_is_drawn_inside_the_frame() -> None:
    assert set(geography.land().provinces) == set(geography.PROVINCES)
    for path in geography.land().provinces.values():
        for x, y in re.findall(r"M([\d.-]+) ([\d.-]+)l", path):
            assert 0 <= float(x) <= geography.VIEW_BOX[2]
            assert -1 <= float(y) <= geography.VIEW_BOX[3]


def test_the_outline_stays_small() -> None:
    assert (ROOT / "consortium/kernel/canada.json").stat().st_size < 60_000


@pytest.mark.parametrize("width", [geography.WIDE_PX, geography.NARROW_PX])
def test_no_two_markers_stand_closer_than_fourteen_pixels(width: int) -> None:
    unit = geography.VIEW_BOX[2] / width
    clusters = geography.cluster_markers(gallery.markers(), units_per_px=unit)
    for one in clusters:
        for other in clusters:
            assert one is other or math.dist((one.x, one.y), (other.x, other.y)) >= 14 * unit


def test_grouping_loses_no_marker_and_does_not_depend_on_their_order() -> None:
    markers = gallery.markers()
    one = geography.cluster_markers(markers, units_per_px=3)
    other = geography.cluster_markers(markers[::-1], units_per_px=3)
    assert one == other
    assert sorted(m.key for cluster in one for m in cluster.markers) == sorted(m.key for m in markers)


def test_every_place_on_the_map_is_in_the_table_too() -> None:
    page = Page(render("{% hub_map markers %}", markers=gallery.markers()))
    rows = {str(a.get("id")) for a in page.all("tr")}
    assert {f"place-{marker.key}" for marker in gallery.markers()} <= rows
    links = [a for a in page.all("a") if str(a.get("class", "")).startswith("map-spot")]
    assert links
    assert all(a.get("aria-label") and a.get("href") for a in links)


def test_a_map_without_hubs_is_still_a_map() -> None:
    assert "<svg" in render("{% hub_map markers %}", markers=[])


# --- Tokens and assets ------------------------------------------------------------------------------------------------

TOKENS = dict(
    re.findall(
        r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}, #[0-9a-f]{6})\)", (STATIC / "css/tokens.css").read_text("utf-8")
    )
)


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


TEXT_PAIRS = [
    *((ink, paper) for ink in ("ink", "ink-soft", "accent", "accent-strong") for paper in ("paper", "surface")),
    *(("ink", f"{tone}-soft") for tone in ("neutral", "info", "success", "warning", "danger", "accent")),
    *(("accent", f"{tone}-soft") for tone in ("neutral", "info", "success", "warning", "danger")),
    *((tone, f"{tone}-soft") for tone in ("neutral", "info", "success", "warning", "danger")),
    *((tone, "paper") for tone in ("neutral", "info", "success", "warning", "danger")),
    ("ink-soft", "surface-strong"),
    ("accent-strong", "accent-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-tone", "danger-fill"),
]
SHAPE_PAIRS = [
    ("control", "paper"),
    ("focus", "paper"),
    ("focus", "surface"),
    ("series-1", "paper"),
    ("series-2", "paper"),
    ("series-3", "paper"),
]


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), TEXT_PAIRS)
def test_text_has_the_contrast_of_wcag_aa(front: str, back: str, mode: int) -> None:
    assert contrast(TOKENS[front].split(", ")[mode], TOKENS[back].split(", ")[mode]) >= 4.5


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), SHAPE_PAIRS)
def test_shapes_have_the_contrast_of_wcag_aa(front: str, back: str, mode: int) -> None:
    assert contrast(TOKENS[front].split(", ")[mode], TOKENS[back].split(", ")[mode]) >= 3


def test_the_committed_assets_are_those_of_the_manifest() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "scripts/assets"), "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_lock_of_the_asset_packages_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text("utf-8")

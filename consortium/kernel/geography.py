"""The map of Canada: where a latitude and longitude fall on it, and which markers share a spot.

Pure. The projection is Lambert's conformal conic with the parallels that Statistics Canada uses for the whole country
(49° and 77° north, central meridian 91°52′ west), on a sphere: exact enough for a map a thousand units wide.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WIDE_PX, NARROW_PX = 860, 290  # the widths the map is drawn for; markers keep their size in pixels at both
TARGET_PX, NEAREST_PX = 24.0, 14.0
VIEW_BOX = (0.0, 0.0, 1000.0, 852.0)

_SOUTH, _NORTH, _ORIGIN, _MERIDIAN = (math.radians(d) for d in (49.0, 77.0, 63.390675, -91.866667))
_CONE = math.log(math.cos(_SOUTH) / math.cos(_NORTH)) / math.log(
    math.tan(math.pi / 4 + _NORTH / 2) / math.tan(math.pi / 4 + _SOUTH / 2)
)
_FACTOR = math.cos(_SOUTH) * math.tan(math.pi / 4 + _SOUTH / 2) ** _CONE / _CONE
_SCALE, _LEFT, _TOP = 1145.0, 490.0, 400.0  # map units to a radius of the Earth, and where the origin stands

# West to east, then the territories: the order in which people look for themselves.
PROVINCES: dict[str, tuple[str, str]] = {
    "BC": ("British Columbia", "Colombie-Britannique"),
    "AB": ("Alberta", "Alberta"),
    "SK": ("Saskatchewan", "Saskatchewan"),
    "MB": ("Manitoba", "Manitoba"),
    "ON": ("Ontario", "Ontario"),
    "QC": ("Quebec", "Québec"),
    "NB": ("New Brunswick", "Nouveau-Brunswick"),
    "NS": ("Nova Scotia", "Nouvelle-Écosse"),
    "PE": ("Prince Edward Island", "Île-du-Prince-Édouard"),
    "NL": ("Newfoundland and Labrador", "Terre-Neuve-et-Labrador"),
    "YT": ("Yukon", "Yukon"),
    "NT": ("Northwest Territories", "Territoires du Nord-Ouest"),
    "NU": ("Nunavut", "Nunavut"),
}


def project(latitude: float, longitude: float) -> tuple[float, float]:
    """Will return x and y in map units (a thousand across, y downwards) of a place in degrees."""
    angle = _CONE * (math.radians(longitude) - _MERIDIAN)
    radius = _SCALE * _FACTOR / math.tan(math.pi / 4 + math.radians(latitude) / 2) ** _CONE
    origin = _SCALE * _FACTOR / math.tan(math.pi / 4 + _ORIGIN / 2) ** _CONE
    return _LEFT + radius * math.sin(angle), _TOP - (origin - radius * math.cos(angle))


@dataclass(frozen=True, kw_only=True)
class Land:
    """The country as SVG paths in map units: provinces by their two letters, the great lakes, islands in them."""

    provinces: dict[str, str]
    lakes: str
    islands: str


@cache
def land() -> Land:
    """Will read the outlines of Natural Earth that scripts/canada-outline has written."""
    content = json.loads(Path(__file__).with_name("canada.json").read_text(encoding="utf-8"))
    return Land(provinces=content["provinces"], lakes=content["lakes"], islands=content["islands"])


# --- Markers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Marker:
    """One place on the map: degrees north and east, a link, and its kind: "hub" (has one), "member" or "applicant".

    `key` names its row in the table (letters, digits, hyphens), `note` is shown there ("Healthy, JupyterHub 5.4").
    """

    key: str
    name: str
    city: str
    province: str
    latitude: float
    longitude: float
    url: str
    kind: str = "hub"
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Markers drawn as one, at the middle of them, in map units; `reach` is the radius within which a click counts."""

    x: float
    y: float
    reach: float
    markers: tuple[Marker, ...]

    @property
    def kind(self) -> str:
        """The most that any of its members has: a hub, membership, an application."""
        kinds = {marker.kind for marker in self.markers}
        return next((kind for kind in ("hub", "member", "applicant") if kind in kinds), "member")


def cluster_markers(markers: Sequence[Marker], *, units_per_px: float, nearest_px: float = NEAREST_PX) -> list[Cluster]:
    """Will group markers until no two groups are closer than `nearest_px` at `units_per_px` map units to a pixel.

    Each time the two nearest groups are joined, so the order of the markers does not matter. The reach of a group is
    half a target of 24 px, less where a neighbour's would overlap it.
    """
    groups: list[tuple[tuple[Marker, ...], tuple[float, float]]] = [
        ((marker,), project(marker.latitude, marker.longitude)) for marker in sorted(markers, key=_by_key)
    ]
    nearest = nearest_px * units_per_px
    while len(groups) > 1:
        gap, one, other = min(
            (math.dist(groups[i][1], groups[j][1]), i, j) for i in range(len(groups)) for j in range(i)
        )
        if gap >= nearest:
            break
        members = tuple(sorted(groups[one][0] + groups[other][0], key=_by_key))
        places = [project(marker.latitude, marker.longitude) for marker in members]
        middle = (sum(x for x, _ in places) / len(places), sum(y for _, y in places) / len(places))
        groups = [group for index, group in enumerate(groups) if index not in {one, other}] + [(members, middle)]
    clusters = []
    for index, (members, (x, y)) in enumerate(groups):
        gaps = [math.dist((x, y), place) for at, (_, place) in enumerate(groups) if at != index]
        reach = min(TARGET_PX * units_per_px / 2, min(gaps, default=math.inf) / 2)
        clusters.append(Cluster(x=x, y=y, reach=reach, markers=members))
    return sorted(clusters, key=lambda cluster: cluster.x)


def _by_key(marker: Marker) -> str:
    return marker.key


# --- What the template writes -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A marker or group as the template writes it: numbers as text, since Django localises numbers."""

    x: str
    y: str
    reach: str
    radius: str
    kind: str
    count: int
    label: str
    label_x: str
    label_y: str
    anchor: str
    url: str
    keys: str


@dataclass(frozen=True, kw_only=True)
class MapView:
    """The map for one width of screen."""

    name: str
    view_box: str
    label_size: str
    count_size: str
    spots: tuple[Spot, ...]


@dataclass(frozen=True, kw_only=True)
class ProvinceRows:
    """The table's part for one province."""

    code: str
    name: str
    markers: tuple[Marker, ...]


def province_name(code: str, *, language: str) -> str:
    """Will return the province's name in English or French, the code itself where it is none of Canada's."""
    names = PROVINCES.get(code, (code, code))
    return names[1] if language.startswith("fr") else names[0]


def by_province(markers: Sequence[Marker], *, language: str) -> list[ProvinceRows]:
    """Will sort markers into provinces, west to east, and by name within each."""
    order = list(PROVINCES)
    codes = sorted({marker.province for marker in markers}, key=lambda code: order.index(code) if code in order else 99)
    return [
        ProvinceRows(
            code=code,
            name=province_name(code, language=language),
            markers=tuple(sorted((m for m in markers if m.province == code), key=lambda m: m.name.casefold())),
        )
        for code in codes
    ]


def map_view(markers: Sequence[Marker], *, width_px: int, name: str) -> MapView:
    """Will lay the map out for a width in pixels: text and markers keep their size, groups form where they must."""
    unit = VIEW_BOX[2] / width_px
    spots = [_spot(cluster, unit) for cluster in cluster_markers(markers, units_per_px=unit)]
    return MapView(
        name=name,
        view_box=" ".join(_n(value) for value in VIEW_BOX),
        label_size=_n(13 * unit),
        count_size=_n(11.5 * unit),
        spots=tuple(spots),
    )


def _spot(cluster: Cluster, unit: float) -> Spot:
    first, count = cluster.markers[0], len(cluster.markers)
    radius = (4.5 if count == 1 else 7.5 + min(count, 12) * 0.3) * unit
    names = sorted(marker.name for marker in cluster.markers)
    label = names[0] if count == 1 else f"{', '.join(names[:2])}{f' +{count - 2}' if count > 2 else ''}"
    # The label keeps inside the map: to the left of what stands in the right third, above everything.
    middle = VIEW_BOX[2] / 2
    anchor = "middle" if abs(cluster.x - middle) < VIEW_BOX[2] / 6 else "start" if cluster.x < middle else "end"
    return Spot(
        x=_n(cluster.x),
        y=_n(cluster.y),
        reach=_n(cluster.reach),
        radius=_n(radius),
        kind=cluster.kind,
        count=count,
        label=label,
        label_x=_n(cluster.x),
        label_y=_n(cluster.y - radius - 8 * unit),
        anchor=anchor,
        url=first.url if count == 1 else f"#place-{first.key}",
        keys=" ".join(marker.key for marker in cluster.markers),
    )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

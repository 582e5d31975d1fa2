"""Made-up content for the gallery of components: what the tests render, and what people look at."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django import forms

from consortium.kernel import charts, geography

PLACES = (
    ("ubc", "University of British Columbia", "Vancouver", "BC", 49.26, -123.25, "hub"),
    ("sfu", "Simon Fraser University", "Burnaby", "BC", 49.28, -122.92, "member"),
    ("uvic", "University of Victoria", "Victoria", "BC", 48.46, -123.31, "hub"),
    ("unbc", "University of Northern British Columbia", "Prince George", "BC", 53.89, -122.81, "applicant"),
    ("ualberta", "University of Alberta", "Edmonton", "AB", 53.52, -113.53, "hub"),
    ("ucalgary", "University of Calgary", "Calgary", "AB", 51.08, -114.13, "member"),
    ("usask", "University of Saskatchewan", "Saskatoon", "SK", 52.13, -106.63, "hub"),
    ("umanitoba", "University of Manitoba", "Winnipeg", "MB", 49.81, -97.13, "member"),
    ("lakehead", "Lakehead University", "Thunder Bay", "ON", 48.42, -89.26, "applicant"),
    ("utoronto", "University of Toronto", "Toronto", "ON", 43.66, -79.40, "hub"),
    ("york", "York University", "Toronto", "ON", 43.77, -79.50, "member"),
    ("waterloo", "University of Waterloo", "Waterloo", "ON", 43.47, -80.54, "hub"),
    ("mcmaster", "McMaster University", "Hamilton", "ON", 43.26, -79.92, "hub"),
    ("western", "Western University", "London", "ON", 43.01, -81.27, "member"),
    ("queens", "Queen's University", "Kingston", "ON", 44.23, -76.50, "hub"),
    ("uottawa", "University of Ottawa", "Ottawa", "ON", 45.42, -75.68, "hub"),
    ("mcgill", "McGill University", "Montréal", "QC", 45.50, -73.58, "hub"),
    ("udem", "Université de Montréal", "Montréal", "QC", 45.50, -73.61, "member"),
    ("laval", "Université Laval", "Québec", "QC", 46.78, -71.27, "hub"),
    ("unb", "University of New Brunswick", "Fredericton", "NB", 45.95, -66.64, "member"),
    ("dal", "Dalhousie University", "Halifax", "NS", 44.64, -63.59, "hub"),
    ("upei", "University of Prince Edward Island", "Charlottetown", "PE", 46.26, -63.14, "applicant"),
    ("mun", "Memorial University of Newfoundland", "St. John's", "NL", 47.57, -52.73, "hub"),
)


class RequestForm(forms.Form):
    """A form with one field of each kind."""

    name = forms.CharField(label="Name of the hub", help_text="People will see it when they sign in.")
    domain = forms.CharField(label="E-mail domain")
    size = forms.ChoiceField(label="Size", choices=[("s", "Small, 2 GB"), ("m", "Medium, 8 GB")])
    use = forms.ChoiceField(
        label="What is it for?",
        widget=forms.RadioSelect,
        choices=[("teaching", "Teaching"), ("research", "Research"), ("both", "Both")],
    )
    tools = forms.MultipleChoiceField(
        label="Environments",
        widget=forms.CheckboxSelectMultiple,
        choices=[("py", "Python"), ("r", "R"), ("jl", "Julia")],
    )
    notes = forms.CharField(label="Anything else", widget=forms.Textarea, required=False)
    agree = forms.BooleanField(
        label="I may request hubs for my university", help_text="Owners and technical staff may."
    )


def markers() -> list[geography.Marker]:
    """Will return places to draw, of each kind."""
    return [
        geography.Marker(
            key=key,
            name=name,
            city=city,
            province=province,
            latitude=north,
            longitude=east,
            kind=kind,
            url=f"/en/{key}/",
        )
        for key, name, city, province, north, east, kind in PLACES
    ]


def shares() -> charts.Chart:
    """Will return horizontal bars with a long label among them."""
    rows = (
        ("University of British Columbia", "4812.40"),
        ("University of Toronto", "3960.15"),
        ("Memorial University of Newfoundland and Labrador", "1204.00"),
        ("Université Laval", "312.75"),
        ("Queen's University", "0.00"),
    )
    return charts.horizontal_bars(
        title="Shared cost, October 2026",
        description="Five universities; British Columbia carries the most, 4,812 dollars, Queen's nothing.",
        label_heading="University",
        value_heading="Share",
        bars=[charts.Bar(label=name, value=Decimal(value), text=f"${Decimal(value):,}") for name, value in rows],
    )


def months() -> charts.Chart:
    """Will return stacked columns of half a year."""
    names = ("May", "June", "July", "August", "September", "October")
    parts = {
        "Dues": (400, 400, 400, 400, 400, 400),
        "Compute": (210, 180, 90, 260, 640, 720),
        "Storage": (60, 66, 70, 75, 88, 97),
    }
    return charts.stacked_columns(
        title="Cost by month, 2026",
        description="Six months in three parts; compute doubles when term begins in September.",
        label_heading="Month",
        categories=[f"{name} 2026" for name in names],
        short_categories=[name[:3] for name in names],
        series=[
            charts.Series(name=name, values=values, texts=[f"${value}.00" for value in values])
            for name, values in parts.items()
        ],
    )


def job(state: str = "running") -> dict[str, Any]:
    """Will return long work in one of its states."""
    return {
        "title": "Setting up the hub “statistics”",
        "state": state,
        "step": "Starting the hub",
        "done": 3,
        "total": 5,
        "elapsed": 42,
        "reference": "7f3a-19c2",
        "message": "The hub did not answer within two minutes. Your request is kept; try the step again.",
        "steps": [
            {"label": "Reserve a place on the cluster", "state": "done", "note": "2 s"},
            {"label": "Write the configuration", "state": "done", "note": "1 s"},
            {"label": "Create the storage", "state": "done", "note": "14 s"},
            {"label": "Start the hub", "state": "failed" if state == "failed" else "current", "note": "25 s"},
            {"label": "Check that people can sign in", "state": "waiting"},
        ],
        "log": ["14:05:01 place reserved", "14:05:02 configuration written", "14:05:16 volume bound"],
    }


def _moment(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, 5, tzinfo=UTC)


def context() -> dict[str, Any]:
    """Will return all that templates/components/gallery.html shows."""
    wrong = RequestForm({"name": "", "domain": "ubc", "size": "m"})
    wrong.add_error("domain", "Enter the whole domain, such as ubc.ca.")
    return {
        "demo": True,
        "form_errors": True,
        "nav": [
            {"label": label, "url": f"#{label}", "current": "page" if label == "Hubs" else ""}
            for label in ("Overview", "Hubs", "Use and cost", "Invoices", "People", "Agreement")
        ],
        "alternate_url": "/fr/gallery/",
        "trail": [{"label": "Overview", "url": "#"}, {"label": "Hubs", "url": "#"}],
        "tabs": [
            {"label": "Summary", "url": "#", "current": True},
            {"label": "Revisions", "url": "#", "count": 4},
            {"label": "Use", "url": "#", "count": None},
        ],
        "tones": ["neutral", "info", "success", "warning", "danger"],
        "amount": Decimal("10482.90"),
        "moment": _moment(12, 19),
        "day": date(2026, 11, 30),
        "form": RequestForm(),
        "wrong": wrong,
        "events": [
            {
                "at": _moment(12, 19),
                "title": "Agreement signed",
                "actor": "A. Tremblay, Université Laval",
                "tone": "success",
            },
            {
                "at": _moment(10, 15),
                "title": "Question from the reviewer",
                "actor": "Consortium staff",
                "tone": "info",
                "body": "Which unit will hold the agreement, the library or central IT?",
            },
            {"at": _moment(9, 14), "title": "Application submitted", "actor": "A. Tremblay", "tone": "neutral"},
        ],
        "tasks": [
            {"label": "About the university", "url": "#", "status": "Completed", "tone": "success"},
            {"label": "Who signs", "url": "#", "status": "In progress", "tone": "info", "hint": "Name, title and mail"},
            {"label": "Billing contact", "url": "#", "status": "Not started", "tone": "neutral"},
            {"label": "Submit", "status": "Cannot start yet", "tone": "neutral"},
        ],
        "answers": [
            {"label": "University", "value": "Université Laval", "url": "#"},
            {"label": "Signatory", "value": "Aline Tremblay, Vice-rectrice aux études", "url": "#"},
            {"label": "Purchase order", "value": "", "url": "#"},
        ],
        "facts": [
            {"label": "Version", "value": "JupyterHub 5.4.2"},
            {"label": "Region", "value": "Montréal (ca-central-1)"},
            {"label": "Address", "value": "https://hub.example/laval/statistics-and-probability-2026/"},
        ],
        "running": job(),
        "stalled": job("stalled"),
        "failed": job("failed"),
        "shares": shares(),
        "months": months(),
        "markers": markers(),
    }

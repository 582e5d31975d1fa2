"""The schedule's form: whatever a schedule says it shows and reads back, and each mistake is named where it stands."""

from decimal import Decimal

import pytest

from members.schedule import GIB, Schedule, ScheduleTemplate
from members.schedule_form import ScheduleForm, initial_of
from members.schedule_terms import (
    Allocation,
    DataProtection,
    EventHubs,
    Exit,
    HubFee,
    Recovery,
    Responsibility,
    Severity,
    Subprocessor,
    TaxFacts,
)
from tests.unit.members.story import TERMS

FULL = TERMS.model_copy(
    update={
        "max_price_increase": Decimal("0.05"),
        "event_hubs": EventHubs(included_per_year=2, price_each=Decimal("250.00")),
        "creditable_fees": (HubFee(hub="birch-lab", fee=Decimal("800.00")),),
        "tax": TaxFacts(dues="exempt", note_en="Stated by letter.", note_fr="Déclaré par lettre."),
        "recovery": Recovery(home_rpo_hours=24, home_rto_hours=48),
        "responsibilities": (
            Responsibility(task_en="Backups", task_fr="Copies", consortium="leads", member="informed"),
        ),
        "data_protection": DataProtection(
            hub_regions=("Ontario",), backup_regions=("Quebec",), log_regions=("Ontario", "Quebec"),
            law_en="FIPPA", law_fr="LAIPVP",
        ),
        "subprocessors": (
            Subprocessor(name="Cloud", purpose_en="Servers", purpose_fr="Serveurs", region="Ontario"),
        ),
        "allocation": Allocation(policy_en="By memory.", policy_fr="Selon la mémoire."),
        "exit": Exit(formats=("tar.gz", "CSV")),
        "service_level": TERMS.service_level.model_copy(
            update={
                "severities": (
                    Severity(
                        code="s1", name_en="Nobody can work", name_fr="Personne ne peut travailler",
                        response_hours=1, update_hours=2, around_the_clock=True,
                    ),
                )
            }
        ),
        "entitlements": TERMS.entitlements.model_copy(update={"home_limit_bytes": 10 * GIB}),
    }
)  # fmt: skip


@pytest.mark.parametrize("template", [TERMS, FULL])
def test_what_a_schedule_says_is_shown_and_read_back(template: ScheduleTemplate) -> None:
    schedule = Schedule.parse(template.for_institution(fte=9_000, po_required=True).as_json())
    for each, model in ((template, ScheduleTemplate), (schedule, Schedule)):
        form = ScheduleForm(initial_of(each), model=model)
        assert form.is_valid(), form.errors
        assert form.parsed == each


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"currency": "XXX"}, "currency", "ISO 4217"),
        ({"dues": "12,5"}, "dues", ""),
        ({"dues": "6000.001"}, "currency", "finer than"),
        ({"slabs": "10 | 1.00\nx | 2.00"}, "slabs", "Line 2, up_to"),
        ({"slabs": "10 | 1.00 | 3.00\n | 2"}, "slabs", "Line 1"),
        ({"slabs": ""}, "slabs", "last slab"),
        ({"slabs": "10 | 1.00\n5 | 2.00\n | 3.00"}, "slabs", "end above"),
        ({"entitlements__hubs": "many"}, "entitlements__hubs", "integer"),
        ({"entitlements__memory_limit_bytes": "4 GB"}, "entitlements__memory_limit_bytes", "integer"),
        ({"service_level__credits": "0.999 | 0.10"}, "service_level__credits", "fall"),
        ({"recovery__home_rpo_hours": "24"}, "recovery__home_rto_hours", "required"),
        ({"renewal__reminder_days": "14, 30"}, "renewal__reminder_days", "nearer"),
        ({"payment_days": "0"}, "payment_days", "greater than 0"),
        ({"responsibilities": "Backups | Copies | leads | dances"}, "responsibilities", "Line 1, member"),
    ],
)
def test_a_mistake_is_named_at_its_field_and_line(change: dict[str, str], field: str, said: str) -> None:
    schedule = TERMS.for_institution(fte=9_000, po_required=False)
    form = ScheduleForm(initial_of(schedule) | change, model=Schedule)
    assert not form.is_valid()
    assert list(form.errors) == [field]
    assert said in str(form.errors[field])


def test_memory_is_written_in_gib() -> None:
    schedule = TERMS.for_institution(fte=9_000, po_required=False)
    form = ScheduleForm(initial_of(schedule) | {"entitlements__memory_limit_bytes": "8 gib"}, model=Schedule)
    assert form.is_valid()
    assert form.parsed is not None
    assert form.parsed.entitlements.memory_limit_bytes == 8 * GIB

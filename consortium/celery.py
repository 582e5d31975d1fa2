"""The Celery app: workers are told about jobs here, and beat's schedule is code.

The queue is only a hint. A task carries a job's id and nothing else; what to do is in the job's row.
"""

import os
from uuid import UUID

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "consortium.settings")

app = Celery("consortium")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["consortium"])
app.conf.beat_schedule = {
    "recheck-domains": {"task": "consortium.recheck_domains", "schedule": crontab(minute="*/15")},
    "forget-assertions": {"task": "consortium.forget_assertions", "schedule": crontab(minute="*/5")},
    # Days begin at another hour in each agreement's zone.
    "agreements": {"task": "consortium.agreements", "schedule": crontab(minute=7)},
    "ask-for-renewals": {"task": "consortium.ask_for_renewals", "schedule": crontab(minute=15)},
    "nightly-checks": {"task": "consortium.nightly_checks", "schedule": crontab(hour=8, minute=30)},
    # Hubs come back soon after what was overdue is paid.
    "collect": {"task": "consortium.collect", "schedule": crontab(minute="5-59/10")},
    "forget-subscriptions": {"task": "consortium.forget_subscriptions", "schedule": crontab(minute=40)},
    "tend-events": {"task": "consortium.tend_events", "schedule": crontab()},
    "watch-rollouts": {"task": "consortium.watch_rollouts", "schedule": crontab(minute="2-59/5")},
    "watch-support": {"task": "consortium.watch_support", "schedule": crontab(minute="*/5")},
    "catch-up-events": {"task": "consortium.catch_up_events", "schedule": crontab(minute="*/10")},
    "sample-months": {"task": "consortium.sample_months", "schedule": crontab(hour=7, minute=40)},
    "budgets": {"task": "consortium.watch_budgets", "schedule": crontab(hour="*/6", minute=10)},
}


def send_hint(job_id: UUID) -> None:
    """Tell the workers that a job waits; raises when the broker is away."""
    app.send_task("consortium.run_job", args=[str(job_id)], retry=False, expires=60)

"""What an admin comes to do, in the order in which a new site needs it, for the admin's first page."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.urls import reverse

from billing.models import LimitRequest, RequestState
from llm.models import Provider
from llm.profiles import read_api_key
from monitoring.models import Incident


@dataclass(frozen=True, slots=True)
class Step:
    """``state`` says what is there or waits; ``permission`` is what opens the address."""

    label: str
    address: str
    detail: str
    permission: str
    state: str = ""


def steps_of(person: User) -> list[Step]:
    return [step for step in _steps() if person.has_perm(step.permission)]


def _steps() -> list[Step]:
    return [
        Step(
            "Offer a real model",
            reverse("admin:llm_provider_changelist"),
            "Keys never stand in the database: set GEMINI_API_KEY, OPENAI_API_KEY or that of a provider of "
            "your own in the environment or in .env, and start the site anew. Until then the demo answers.",
            "llm.view_provider",
            _keys(),
        ),
        Step(
            "Choose the models, their limits and their prices",
            reverse("admin:llm_modelprofile_changelist"),
            "Switch on what people may pick. With a price a model's answers cost something; without one "
            "a hard budget in dollars refuses it.",
            "llm.view_modelprofile",
        ),
        Step(
            "Add people",
            reverse("admin:auth_user_add"),
            "A name and a password are enough; they change the password under Account. Who has forgotten it "
            "gets a link from you: an action in the list of users. Staff status opens these pages.",
            "auth.add_user",
        ),
        Step(
            "Say what a person gets",
            reverse("admin:billing_plan_changelist"),
            "A plan gives each of its people the same budgets. Accounts say who is on which plan.",
            "billing.view_plan",
        ),
        Step(
            "Set a budget",
            reverse("admin:billing_budget_add"),
            "For one person, a group or everyone together, in tokens or in dollars, per day, week or month. "
            "It replaces the plan's.",
            "billing.add_budget",
        ),
        Step(
            "See what is used and what it costs",
            reverse("admin:billing_usagerollup_changelist"),
            "By model, person and group, with errors and speed, and as CSV.",
            "billing.view_usagerollup",
        ),
        Step(
            "Answer who asks for more",
            reverse("admin:billing_limitrequest_changelist") + f"?state__exact={RequestState.PENDING.value}",
            "One click raises the limit.",
            "billing.view_limitrequest",
            _waiting(LimitRequest.objects.filter(state=RequestState.PENDING).count()),
        ),
        Step(
            "Look at alerts",
            reverse("admin:monitoring_incident_changelist") + "?closed_at__isempty=1",
            "ALERT_EMAILS and ALERT_WEBHOOK_URL bring them to you.",
            "monitoring.view_incident",
            _open(Incident.objects.filter(closed_at=None).count()),
        ),
    ]


def _keys() -> str:
    found = [one.name for one in Provider.objects.filter(enabled=True) if read_api_key(one.api_key_env)]
    return f"Key set: {', '.join(found)}" if found else "No key is set"


def _waiting(count: int) -> str:
    return f"{count} waiting" if count else ""


def _open(count: int) -> str:
    return f"{count} open" if count else ""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.auth.models import User

from monitoring.first_steps import Step, steps_of

register = template.Library()


@register.simple_tag(takes_context=True)
def first_steps(context: dict[str, Any]) -> list[Step]:
    person = context["request"].user
    return steps_of(person) if isinstance(person, User) else []

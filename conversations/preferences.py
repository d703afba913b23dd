"""What a person wants everywhere: the model, the context policy, titles, and where their days begin."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from billing.accounts import payer, set_timezone
from billing.errors import InvalidAmount
from conversations.choices import choose_profile
from conversations.exceptions import Invalid
from conversations.models import Preferences


@dataclass(frozen=True, slots=True)
class Wishes:
    """``default_model`` and ``context_policy`` "": the site's. ``timezone``: an IANA name."""

    default_model: str
    context_policy: str
    titles: bool
    timezone: str


def read_preferences(user_id: int) -> Wishes:
    found = Preferences.objects.filter(user_id=user_id).first() or Preferences()
    zone = payer(user_id, now=timezone.now()).timezone
    return Wishes(found.default_model, found.context_policy, found.makes_titles, zone)


def change_preferences(
    *,
    user_id: int,
    default_model: str | None = None,
    context_policy: str | None = None,
    titles: bool | None = None,
    timezone: str | None = None,
) -> None:
    """None leaves a thing as it is. All or nothing.

    Raises Invalid (``unknown_model``, ``invalid`` for a zone that does not exist), and Unavailable for a
    model that has no key here.
    """
    wanted = {"default_model": default_model, "context_policy": context_policy, "makes_titles": titles}
    fields = {name: value for name, value in wanted.items() if value is not None}
    if default_model:
        choose_profile(default_model, user_id=user_id)
    with transaction.atomic():
        if fields:
            Preferences.objects.update_or_create(user_id=user_id, defaults=fields)
        if timezone is not None:
            try:
                set_timezone(user_id=user_id, timezone_name=timezone)
            except InvalidAmount as error:
                raise Invalid("invalid", f"There is no time zone {timezone!r}.") from error

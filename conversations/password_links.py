"""Links by which a person sets a new password: in an e-mail, or from an admin's hand.

The link is Django's: signed, for one password, and over when it was used or a day has passed.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Any
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.core.cache import cache
from django.http import HttpRequest
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

SEND_LINKS = "conversations.tasks.send_password_links"
MAILS_PER_HOUR = 4


def can_mail() -> bool:
    """Whether an operator has said how this site sends e-mail."""
    return bool(settings.EMAIL_URL)


def base_of(request: HttpRequest) -> str:
    """Where links lead: the address that the operator has set, else the one that was asked."""
    return settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"


def link_for(person: User, base: str) -> str:
    """For an admin to hand over."""
    number = urlsafe_base64_encode(force_bytes(person.pk))
    token = default_token_generator.make_token(person)
    return f"{base}{reverse('new_password', args=[number, token])}"


def tell_worker(address: str, base: str) -> bool:
    """Have a worker look for the address and write to it: the page takes as long where there is nobody.

    False when the broker cannot be reached.
    """
    try:
        current_app.send_task(SEND_LINKS, args=[address, base], retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("no link for a new password: the broker is away (%s)", type(error).__name__)
        return False
    return True


def send_links(address: str, base: str) -> int:
    """Write to the people who have this address. Returns how many e-mails were handed over.

    An address gets a few an hour at most, whoever asks: nobody's mailbox is filled from here.
    """
    form = PasswordResetForm({"email": address})
    if not can_mail() or not form.is_valid():
        return 0
    people = list(form.get_users(form.cleaned_data["email"]))
    if not people or not _may_write(address):
        return 0
    parts = urlsplit(base)
    options: dict[str, Any] = {
        "domain_override": parts.netloc,
        "use_https": parts.scheme == "https",
        "subject_template_name": "registration/password_mail_subject.txt",
        "email_template_name": "registration/password_mail.txt",
    }
    form.save(**options)
    return len(people)


def _may_write(address: str) -> bool:
    digest = hashlib.sha256(address.strip().casefold().encode("utf-8", "surrogatepass")).hexdigest()[:32]
    key = f"password-mail:{digest}:{int(time.time()) // 3600}"
    try:
        cache.add(key, 0, 3600)
        return cache.incr(key) <= MAILS_PER_HOUR
    except (RedisError, OSError, ValueError):
        logger.exception("the cache did not answer, so no link for a new password was sent")
        return False

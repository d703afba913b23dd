"""What belongs to a person beside the conversations: preferences and API keys."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from conversations.models.ids import new_id
from conversations.models.states import ContextPolicy

if TYPE_CHECKING:
    from django.contrib.auth.models import User

KEY_PREFIX = "cs_"
PREFIX_CHARACTERS = 10
LAST_USED_GRAIN = timedelta(minutes=1)


class Preferences(models.Model):
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences"
    )
    default_model = models.CharField(max_length=200, blank=True)
    context_policy = models.CharField(max_length=20, choices=ContextPolicy.choices, blank=True)
    makes_titles = models.BooleanField(
        default=True, db_default=True, help_text="A model names new conversations; its call is charged."
    )

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"Preferences of {self.user}"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> Self:
        return self.filter(revoked_at=None, user__is_active=True)

    def find(self, secret: str) -> ApiKey | None:
        """The usable key that this secret opens, with its user; None for any other text."""
        if not secret.startswith(KEY_PREFIX):
            return None
        return self.usable().select_related("user").filter(digest=ApiKey.digest_of(secret)).first()


class ApiKey(models.Model):
    """A key for programs. Only a digest is stored: the secret is shown once, when it is made."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, blank=True)
    prefix = models.CharField(max_length=PREFIX_CHARACTERS, help_text="First characters, to tell keys apart.")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}".strip()

    @staticmethod
    def digest_of(secret: str) -> str:
        # 256 random bits need no slow hash.
        return hashlib.sha256(secret.encode()).hexdigest()

    @classmethod
    def create(cls, *, user: User, name: str = "") -> tuple[ApiKey, str]:
        """A new key and its secret, which is not kept anywhere."""
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        key = cls.objects.create(
            user=user, name=name, prefix=secret[:PREFIX_CHARACTERS], digest=cls.digest_of(secret)
        )
        return key, secret

    def touch(self) -> None:
        """Note the use, at most once a minute: a busy key must not write at each request."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > LAST_USED_GRAIN:
            type(self).objects.filter(pk=self.pk).update(last_used_at=now)

"""How often an address may come for tokens, right or wrong; wrong passwords count in ``sign_in_limits``.

Fails closed: without the cache nobody gets a token, and keys and sessions go on working.
"""

from __future__ import annotations

import logging
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from conversations.api.problems import Problem

logger = logging.getLogger(__name__)


class _SignInThrottle(SimpleRateThrottle):
    def allow_request(self, request: Request, view: Any) -> bool:
        try:
            return bool(super().allow_request(request, view))
        except (OSError, RuntimeError) as error:
            raise self._closed() from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "redis":
                raise
            raise self._closed() from error

    def _closed(self) -> Problem:
        logger.exception("the cache did not answer, so nobody can sign in for a token")
        return Problem("unavailable", "Nobody can sign in at the moment. Try again in a moment.")


class AddressThrottle(_SignInThrottle):
    """By the peer's address. A forwarded one counts only where the server was told to trust the proxy."""

    scope = "sign_in_address"
    rate = "120/min"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return f"throttle:{self.scope}:{request.META.get('REMOTE_ADDR', '')}"

"""Everything that can go wrong with a model call, as one tree.

LLMError
├── UnknownModel              no such model is configured
├── BadRequest                400: the request itself is wrong
│   └── ContextTooLong        more input than the model takes
├── NotAvailable              the model may not be used from here
│   └── NotEnabled            429 with a quota of nothing: the model is not part of the plan
├── BadCredentials            401, 403, a missing or invalid key
├── ModelGone                 404: the model was retired or never existed
├── RateLimited               429 that passes by itself
│   └── SlowDown              429: traffic rose too fast; send at half the rate
├── DailyQuota                429 until the provider's next day
├── OutOfCredit               429 or 402: somebody has to pay first
├── ContentBlocked            the provider declined the question
├── ProviderError             500, 502, unreadable answers
│   └── ProviderTimedOut      504
├── ProviderOverloaded        503, 529
├── ConnectionFailed          408, 409, DNS, refused, reset
├── BreakerOpen               it failed too often just now (raised by the caller's breaker, no call is made)
├── FirstTokenTimeout         nothing came in time (raised by the caller's watchdog)
├── Stalled                   it began and then stopped (raised by the caller's watchdog)
└── Truncated                 the stream ended without a finish reason

``user_text`` is for people and never holds words of the provider. Those are in
``provider_detail``, which belongs into logs only.
"""

from __future__ import annotations

from typing import ClassVar, Literal

DETAIL_LIMIT_CHARACTERS = 2000

Scope = Literal["request", "model", "key", "service"]


class LLMError(Exception):
    """A failed call.

    ``retryable`` says whether the same request may succeed later;
    ``retry_after_seconds`` is the provider's hint, if it gave one; ``scope`` is what
    the fault is about; ``alert`` says whether the operator must act.
    """

    code: ClassVar[str] = "provider_error"
    retryable: ClassVar[bool] = False
    alert: ClassVar[bool] = False
    scope: ClassVar[Scope] = "request"
    user_text: ClassVar[str] = "The model could not answer."

    def __init__(
        self,
        provider_detail: str = "",
        *,
        retry_after_seconds: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(self.code)
        self.provider_detail = provider_detail[:DETAIL_LIMIT_CHARACTERS]
        self.retry_after_seconds = retry_after_seconds
        self.status = status

    def __str__(self) -> str:
        return f"{self.code} ({self.status})" if self.status else self.code


class UnknownModel(LLMError):
    code = "unknown_model"
    user_text = "This model is not known here. Choose another one."


class BadRequest(LLMError):
    code = "bad_request"
    user_text = "This request could not be sent to the model. Change the question and try again."


class ContextTooLong(BadRequest):
    code = "context_too_long"
    user_text = "The conversation is too long for this model. Leave out older parts or start a new one."


class NotAvailable(LLMError):
    code = "not_available"
    alert = True
    scope = "model"
    user_text = "This model is not available here. Choose another one."


class NotEnabled(NotAvailable):
    code = "not_enabled"
    user_text = "This model is not enabled for the service's account. Choose another one."


class BadCredentials(LLMError):
    code = "bad_credentials"
    alert = True
    scope = "key"
    user_text = "The model service is not set up correctly. The administrator has been told."


class ModelGone(LLMError):
    code = "model_gone"
    alert = True
    scope = "model"
    user_text = "This model is no longer offered. Choose another one."


class RateLimited(LLMError):
    code = "rate_limited"
    retryable = True
    scope = "model"
    user_text = "The model is busy. Your question waits and is sent as soon as it may."


class SlowDown(RateLimited):
    user_text = "The model asks for a slower pace. Your question waits and is sent as soon as it may."


class DailyQuota(LLMError):
    code = "daily_quota"
    alert = True
    scope = "model"
    user_text = "This model's daily limit is reached. Choose another one or come back tomorrow."


class OutOfCredit(LLMError):
    code = "out_of_credit"
    alert = True
    scope = "key"
    user_text = "The credit with the model's provider is used up. The administrator has been told."


class ContentBlocked(LLMError):
    code = "content_blocked"
    user_text = "The model declined to answer this. Put the question in another way."


class ProviderError(LLMError):
    code = "provider_error"
    retryable = True
    scope = "service"
    user_text = "The model had an error of its own. Try again."


class ProviderTimedOut(ProviderError):
    code = "provider_timed_out"
    user_text = "The model took too long. Try again with a simpler question."


class ProviderOverloaded(LLMError):
    code = "provider_overloaded"
    retryable = True
    scope = "service"
    user_text = "The model is overloaded. Try again in a moment or choose another one."


class ConnectionFailed(LLMError):
    code = "connection_failed"
    retryable = True
    scope = "service"
    user_text = "The connection to the model was lost. Try again."


class BreakerOpen(LLMError):
    code = "breaker_open"
    retryable = True
    scope = "service"
    user_text = "The model has failed several times in a row. It is tried again in a moment."


class FirstTokenTimeout(LLMError):
    code = "first_token_timeout"
    scope = "service"
    user_text = "Response generation timeout. Retry with a simpler question?"


class Stalled(LLMError):
    code = "stalled"
    retryable = True
    scope = "service"
    user_text = "The answer stopped coming. What arrived is kept; continue or try again."


class Truncated(LLMError):
    code = "truncated"
    retryable = True
    scope = "service"
    user_text = "The answer ended early. What arrived is kept; continue or try again."

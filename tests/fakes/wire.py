"""The two dialects: how OpenAI's and Gemini's servers write answers and errors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

OPENAI_ERRORS: dict[str, tuple[int, dict[str, Any]]] = {
    "400": (400, {"message": "Invalid value: 'messages'.", "type": "invalid_request_error", "code": None}),
    "401": (
        401,
        {
            "message": "Incorrect API key provided.",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
        },
    ),
    "403": (
        403,
        {"message": "Not allowed for this project.", "type": "invalid_request_error", "code": None},
    ),
    "404": (
        404,
        {
            "message": "The model does not exist.",
            "type": "invalid_request_error",
            "code": "model_not_found",
        },
    ),
    "408": (408, {"message": "Request timed out.", "type": "timeout", "code": None}),
    "429": (429, {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}),
    "500": (500, {"message": "The server had an error.", "type": "server_error", "code": None}),
    "502": (502, {"message": "Bad gateway.", "type": "server_error", "code": None}),
    "503": (
        503,
        {"message": "The engine is overloaded.", "type": "server_error", "code": "server_is_overloaded"},
    ),
    "504": (504, {"message": "Gateway timeout.", "type": "server_error", "code": None}),
    "529": (529, {"message": "Overloaded.", "type": "overloaded_error", "code": None}),
    "daily": (
        429,
        {
            "message": "Rate limit reached on requests per day (RPD): Limit 200.",
            "type": "requests",
            "code": None,
        },
    ),
    "credit": (
        429,
        {
            "message": "You exceeded your current quota.",
            "type": "insufficient_quota",
            "code": "insufficient_quota",
        },
    ),
}

GEMINI_STATUSES = {
    "400": (400, "INVALID_ARGUMENT"),
    "401": (401, "UNAUTHENTICATED"),
    "403": (403, "PERMISSION_DENIED"),
    "404": (404, "NOT_FOUND"),
    "408": (408, "DEADLINE_EXCEEDED"),
    "429": (429, "RESOURCE_EXHAUSTED"),
    "500": (500, "INTERNAL"),
    "502": (502, "UNAVAILABLE"),
    "503": (503, "UNAVAILABLE"),
    "504": (504, "DEADLINE_EXCEEDED"),
    "529": (529, "UNAVAILABLE"),
    "daily": (429, "RESOURCE_EXHAUSTED"),
    "credit": (429, "RESOURCE_EXHAUSTED"),
}


@dataclass(frozen=True)
class Counts:
    """What the server says it used; thoughts are part of ``output``."""

    prompt: int
    output: int
    thoughts: int = 0
    cached: int = 0


def data(payload: Any, line_end: str = "\n") -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"data: {text}{line_end}{line_end}".encode()


class OpenAIDialect:
    """Chat completions."""

    line_end = "\n"

    def text(self, text: str) -> bytes:
        return self._chunk({"content": text}, None)

    def thought(self, text: str) -> bytes:
        return self._chunk({"content": None, "reasoning_content": text}, None)

    def end(self, reason: str | None, counts: Counts | None) -> bytes:
        reasons = {"safety": "content_filter"}
        events = b"" if reason is None else self._chunk({}, reasons.get(reason, reason))
        if counts is not None:
            usage = {
                "prompt_tokens": counts.prompt,
                "completion_tokens": counts.output,
                "total_tokens": counts.prompt + counts.output,
                "prompt_tokens_details": {"cached_tokens": counts.cached},
                "completion_tokens_details": {"reasoning_tokens": counts.thoughts},
            }
            events += data({**_OPENAI_HEAD, "choices": [], "usage": usage})
        return events if reason is None else events + data("[DONE]")

    def declined(self, counts: Counts | None) -> bytes:
        return self.end("safety", counts)

    def whole(self, text: str, thoughts: str, reason: str | None, counts: Counts) -> bytes:
        message = {"role": "assistant", "content": text, "reasoning_content": thoughts or None}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        usage = {
            "prompt_tokens": counts.prompt,
            "completion_tokens": counts.output,
            "total_tokens": counts.prompt + counts.output,
            "completion_tokens_details": {"reasoning_tokens": counts.thoughts},
        }
        return json.dumps({**_OPENAI_HEAD, "choices": [choice], "usage": usage}).encode()

    def error(self, word: str, hint_seconds: float | None) -> tuple[int, dict[str, str], bytes]:
        status, error = OPENAI_ERRORS[word]
        headers = {"Content-Type": "application/json"}
        if hint_seconds is not None:
            headers["Retry-After"] = f"{hint_seconds:g}"
        return status, headers, json.dumps({"error": {**error, "param": None}}).encode()

    def _chunk(self, delta: dict[str, Any], reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return data({**_OPENAI_HEAD, "choices": [choice]})


_OPENAI_HEAD = {
    "id": "chatcmpl-scripted",
    "object": "chat.completion.chunk",
    "created": 1_760_000_000,
    "model": "scripted",
    "system_fingerprint": "fp_scripted",
}


class GeminiDialect:
    """streamGenerateContent with alt=sse, whose lines end in CRLF."""

    line_end = "\r\n"

    def text(self, text: str) -> bytes:
        return self._chunk({"content": {"parts": [{"text": text}], "role": "model"}, "index": 0})

    def thought(self, text: str) -> bytes:
        parts = [{"text": text, "thought": True}]
        return self._chunk({"content": {"parts": parts, "role": "model"}, "index": 0})

    def end(self, reason: str | None, counts: Counts | None) -> bytes:
        reasons = {"stop": "STOP", "length": "MAX_TOKENS", "safety": "SAFETY"}
        candidate: dict[str, Any] = {"index": 0}
        if reason is not None:
            candidate["finishReason"] = reasons[reason]
            if reason != "safety":
                candidate["content"] = {"parts": [{"text": ""}], "role": "model"}
        return self._chunk(candidate, counts)

    def declined(self, counts: Counts | None) -> bytes:
        payload: dict[str, Any] = {"promptFeedback": {"blockReason": "SAFETY"}, **_GEMINI_TAIL}
        if counts is not None:
            payload["usageMetadata"] = {
                "promptTokenCount": counts.prompt,
                "totalTokenCount": counts.prompt,
            }
        return data(payload, self.line_end)

    def whole(self, text: str, thoughts: str, reason: str | None, counts: Counts) -> bytes:
        parts = [{"text": thoughts, "thought": True}] if thoughts else []
        parts.append({"text": text})
        candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
        usage = self._usage(counts)
        return json.dumps({"candidates": [candidate], "usageMetadata": usage, **_GEMINI_TAIL}).encode()

    def counted(self, prompt: int) -> bytes:
        """The answer to countTokens."""
        details = [{"modality": "TEXT", "tokenCount": prompt}]
        return json.dumps({"totalTokens": prompt, "promptTokensDetails": details} if prompt else {}).encode()

    def error(self, word: str, hint_seconds: float | None) -> tuple[int, dict[str, str], bytes]:
        status, name = GEMINI_STATUSES[word]
        details: list[dict[str, Any]] = []
        message = "Scripted error."
        if status == 429:
            message = "You exceeded your current quota, please check your plan and billing details."
            period = "PerDay" if word == "daily" else "PerMinute"
            quota = {"quotaId": f"GenerateRequests{period}PerProjectPerModel-FreeTier"}
            details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]})
        if word == "credit":
            message, details = "Your prepayment credits are depleted.", []
        if hint_seconds is not None:
            details.append(
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{hint_seconds:g}s"}
            )
        error = {"code": status, "message": message, "status": name, "details": details}
        return (
            status,
            {"Content-Type": "application/json; charset=UTF-8"},
            json.dumps({"error": error}).encode(),
        )

    def _chunk(self, candidate: dict[str, Any], counts: Counts | None = None) -> bytes:
        payload: dict[str, Any] = {"candidates": [candidate], **_GEMINI_TAIL}
        if counts is not None:
            payload["usageMetadata"] = self._usage(counts)
        return data(payload, self.line_end)

    def _usage(self, counts: Counts) -> dict[str, int]:
        usage = {
            "promptTokenCount": counts.prompt,
            "candidatesTokenCount": counts.output - counts.thoughts,
            "totalTokenCount": counts.prompt + counts.output,
        }
        if counts.thoughts:
            usage["thoughtsTokenCount"] = counts.thoughts
        if counts.cached:
            usage["cachedContentTokenCount"] = counts.cached
        return usage


_GEMINI_TAIL = {"modelVersion": "scripted", "responseId": "scripted"}

"""A scripted model provider over real sockets: OpenAI's and Gemini's protocols.

In a test, ``script`` queues replies; without a queued one the name of the model asked
for says what happens, in the grammar of the demo model (``500-200-20!429x2@3``), with
real statuses and bodies. As a process of its own:

    python -m tests.fakes.provider_server --port 0

prints its address. ``GET /requests`` lists what was asked and when clients left.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

from llm.demo_names import DemoName, Fault, parse_demo_name
from llm.demo_script import friendly_tokens, thought_tokens
from tests.fakes.http_server import At, Close, HttpServer, RecordedRequest, Reply, Reset, Send, Stall, Step
from tests.fakes.limits import SlidingWindow
from tests.fakes.wire import Counts, GeminiDialect, OpenAIDialect

Dialect = OpenAIDialect | GeminiDialect

JSON_HEADERS = {"Content-Type": "application/json"}


def numbered(count: int) -> list[str]:
    """Numbered tokens; three digits are one token in OpenAI's encodings."""
    return [f"{number % 1000:03d}" for number in range(count)]


class ProviderServer(HttpServer):
    """``extra_*`` make it lie, ``fault_percent`` makes it fail at random but repeatably.

    ``window`` is what it allows: more is refused with 429 and the time to wait.
    """

    def __init__(
        self,
        *,
        ignore_cap: bool = False,
        extra_prompt_tokens: int = 0,
        fault_percent: float = 0.0,
        hint_seconds: float | None = None,
        seed: int = 0,
        timestamps: bool = False,
        window: SlidingWindow | None = None,
    ) -> None:
        super().__init__(self.choose)
        self.ignore_cap = ignore_cap
        self.extra_prompt_tokens = extra_prompt_tokens
        self.fault_percent = fault_percent
        self.hint_seconds = hint_seconds
        self.timestamps = timestamps
        self.window = window
        self.refused: set[RecordedRequest] = set()
        self.random = random.Random(seed)
        self.scripts: deque[Reply] = deque()
        self.attempts: Counter[str] = Counter()

    def script(self, *replies: Reply) -> None:
        """Queue replies; each request takes the next one."""
        self.scripts.extend(replies)

    async def choose(self, request: RecordedRequest) -> Reply:
        if request.method == "GET":
            return Reply([Send(json.dumps(self.report()).encode())], headers=JSON_HEADERS)
        if self.window is not None and (wait := self._over_the_limit(request)) is not None:
            return wait
        if self.scripts:
            return self.scripts.popleft()
        if request.path.endswith("/chat/completions"):
            return self._answer_openai(request)
        if ":countTokens" in request.path:
            return self._count_gemini(request)
        if ":streamGenerateContent" in request.path or ":generateContent" in request.path:
            return self._answer_gemini(request)
        return Reply([Send(b'{"error": {"message": "no such address"}}')], status=404, headers=JSON_HEADERS)

    def _over_the_limit(self, request: RecordedRequest) -> Reply | None:
        assert self.window is not None
        hint_seconds = self.window.take(request.arrived_at, _count_words(request.body.decode()))
        if hint_seconds is None:
            return None
        self.refused.add(request)
        dialect = OpenAIDialect() if request.path.endswith("/chat/completions") else GeminiDialect()
        return _error(dialect, "429", hint_seconds)

    def report(self) -> list[dict[str, Any]]:
        return [
            {
                "path": request.path,
                "body": request.json if request.body else None,
                "arrived_at": request.arrived_unix,
                "status": request.status,
                "retry_after": request.reply_headers.get("Retry-After"),
                "closed_at": request.closed_at,
                "finished": request.finished,
                "refused": request in self.refused,
            }
            for request in self.requests
            if request.method != "GET"
        ]

    def _answer_openai(self, request: RecordedRequest) -> Reply:
        body = request.json
        cap = body.get("max_completion_tokens", body.get("max_tokens"))
        texts = [str(message["content"]) for message in body["messages"]]
        return self._play(OpenAIDialect(), body["model"], texts, cap, streamed=bool(body.get("stream")))

    def _answer_gemini(self, request: RecordedRequest) -> Reply:
        body = request.json
        model = request.path.rsplit("models/", 1)[1].rsplit(":", 1)[0]
        cap = body.get("generationConfig", {}).get("maxOutputTokens")
        streamed = "streamGenerate" in request.path
        return self._play(GeminiDialect(), model, _gemini_texts(body), cap, streamed=streamed)

    def _count_gemini(self, request: RecordedRequest) -> Reply:
        """Takes contents or a whole request, never both; nothing to count has no total."""
        dialect, body = GeminiDialect(), request.json
        if "contents" in body and "generateContentRequest" in body:
            return _error(dialect, "400", None)
        texts = _gemini_texts(body.get("generateContentRequest", body))
        prompt = sum(_count_words(text) for text in texts)
        return Reply([Send(dialect.counted(prompt + self.extra_prompt_tokens))], headers=JSON_HEADERS)

    def _play(
        self, dialect: Dialect, model: str, texts: list[str], cap: int | None, *, streamed: bool
    ) -> Reply:
        name = parse_demo_name(model)
        if name is None:
            return _error(dialect, "404", None)
        question = hashlib.sha256(f"{model}\0{texts[-1]}".encode()).hexdigest()
        self.attempts[question] += 1
        attempt = self.attempts[question]
        if self.random.random() * 100 < self.fault_percent:
            hint = self.random.choice([None, self.hint_seconds])
            return _error(dialect, self.random.choice(["429", "503"]), hint)
        refusal = name.status(attempt) or name.fault("daily", attempt) or name.fault("credit", attempt)
        if refusal is not None:
            return _error(dialect, refusal.word, refusal.number)
        prompt = sum(_count_words(text) for text in texts) + self.extra_prompt_tokens
        play = _Play(name, attempt, texts[-1], None if self.ignore_cap else cap)
        counts = play.counts(prompt)
        if not streamed:
            whole = dialect.whole("".join(play.tokens), "".join(play.thoughts), play.reason, counts)
            due = (name.first_ms + name.interval_ms * play.total) / 1000
            return Reply([At(due), Send(whole)], headers=JSON_HEADERS)
        if play.stall_at == 0:
            return Reply(before_headers=[Stall()])
        reported = None if name.fault("nousage", attempt) else counts
        return Reply(play.steps(dialect, reported, self.timestamps))


class _Play:
    """One answer: its tokens, and where and how it ends."""

    def __init__(self, name: DemoName, attempt: int, question: str, cap: int | None) -> None:
        tokens = list(friendly_tokens(question)) if name.tokens is None else numbered(name.tokens)
        self.name = name
        self.reason: str | None = "stop"
        end = len(tokens)
        if cap is not None and cap < end:
            end, self.reason = cap, "length"
        block, cut, ended = (name.fault(word, attempt) for word in ("block", "cut", "end"))
        self.declined = block is not None and block.number is None
        if cut:
            end, self.reason = _position(cut, end), "length"
        if block:
            end, self.reason = (0 if self.declined else _position(block, end)), "safety"
        if ended:
            end, self.reason = _position(ended, end), None
        think = name.fault("think", attempt)
        thoughts = 0
        if think is not None and end:
            thoughts = _position(think, end) if think.number is not None else max(1, end // 4)
        self.thoughts = list(thought_tokens(thoughts))
        self.tokens = tokens[: end - thoughts]
        self.total = end
        stall, die, cached = (name.fault(word, attempt) for word in ("stall", "die", "cached"))
        self.stall_at = None if stall is None else min(int(stall.number or 0), end)
        self.die_at = None if die is None else min(int(die.number or 0), end)
        self.cached_percent = 0 if cached is None else int(cached.number or 50)

    def counts(self, prompt: int) -> Counts:
        return Counts(prompt, self.total, len(self.thoughts), prompt * self.cached_percent // 100)

    def steps(self, dialect: Dialect, counts: Counts | None, timestamps: bool) -> Iterator[Step]:
        pieces = [(dialect.thought, text) for text in self.thoughts]
        pieces += [(dialect.text, text) for text in self.tokens]
        for position, (write, text) in enumerate(pieces):
            if position == self.stall_at:
                yield Stall()
            yield At((self.name.first_ms + position * self.name.interval_ms) / 1000)
            if position == self.die_at:
                yield Reset()
            yield Send(write(f"{text}:{time.time():.6f} " if timestamps else text))
        if not pieces:
            yield At(self.name.first_ms / 1000)
        if self.stall_at == len(pieces):
            yield Stall()
        if self.die_at == len(pieces):
            yield Reset()
        if self.declined:
            yield Send(dialect.declined(counts))
        elif self.reason is not None or counts is not None:
            yield Send(dialect.end(self.reason, counts))


def _position(fault: Fault, end: int) -> int:
    return end if fault.number is None else min(int(fault.number), end)


def _count_words(text: str) -> int:
    """Never more than any encoding's count, so that a truthful server stays within estimates."""
    return len(text.split())


def _gemini_texts(body: dict[str, Any]) -> list[str]:
    contents = [body.get("systemInstruction") or {}, *body.get("contents", [])]
    return ["".join(part.get("text", "") for part in content.get("parts", [])) for content in contents]


def _error(dialect: Dialect, word: str, hint_seconds: float | None) -> Reply:
    status, headers, body = dialect.error(word, hint_seconds)
    return Reply([Send(body)], status=status, headers=headers)


async def _serve(arguments: argparse.Namespace) -> None:
    server = ProviderServer(
        ignore_cap=arguments.ignore_cap,
        extra_prompt_tokens=arguments.extra_prompt_tokens,
        fault_percent=arguments.fault_percent,
        hint_seconds=arguments.hint_seconds,
        seed=arguments.seed,
        timestamps=arguments.timestamps,
        window=SlidingWindow(arguments.requests_per_minute) if arguments.requests_per_minute else None,
    )
    await server.start(arguments.port)
    print(server.url, flush=True)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--ignore-cap", action="store_true", help="send more tokens than asked for")
    parser.add_argument("--extra-prompt-tokens", type=int, default=0, help="report so many more")
    parser.add_argument("--fault-percent", type=float, default=0.0, help="429 or 503 at random")
    parser.add_argument("--hint-seconds", type=float, help="half of them say when to come again")
    parser.add_argument("--requests-per-minute", type=int, default=0, help="429 for more than that")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timestamps", action="store_true", help="NUMBER:UNIX_TIME as tokens")
    asyncio.run(_serve(parser.parse_args()))


__all__ = ["At", "Close", "ProviderServer", "Reply", "Reset", "Send", "Stall", "numbered"]

if __name__ == "__main__":
    main()

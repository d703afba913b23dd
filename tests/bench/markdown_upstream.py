"""A provider that writes one long Markdown answer, in a process of its own: chat completions over SSE.

``python -m tests.bench.markdown_upstream`` prints its base address and serves until it is ended. The answer
has ``TOKENS`` tokens of four characters, in ``CHUNKS_PER_SECOND`` pieces a second on an absolute schedule.
"""

from __future__ import annotations

import asyncio
import itertools

import orjson
from aiohttp import web

TOKENS = 10_000
CHARACTERS_A_TOKEN = 4
CHUNKS_PER_SECOND = 100
TOKENS_A_SECOND = 400

# What models write: prose, nested lists, tables, code, quotations, formulas. Numbered, so that no part
# repeats another.
SECTIONS = (
    """## Part {n}: how it works

The **first thing** to know about part {n} is that it rests on *two* ideas, and that `step_{n}()` \
joins them. See [the manual](https://example.com/manual/{n}) for more; it says that every value is read \
once, kept for a while, and ~~never~~ seldom written back. Longer paragraphs wrap over several lines, as \
this one does, and end in a sentence that says so.

""",
    """1. Begin with number {n}.
2. Then go on:
   - a nested point with `code_{n}`
   - another one, in which **something** matters
     and which goes on over a second line
3. End where you began.

""",
    """| Name | Value of {n} | Meaning |
|---|---:|---|
| first | {n} | the *smallest* one |
| second | {n}00 | what most take |
| third | {n}000 | the **largest** one |

""",
    """```python
def part_{n}(values: list[int]) -> dict[str, int]:
    \"\"\"Counts what is there.\"\"\"
    found: dict[str, int] = {{}}
    for index, value in enumerate(values):
        if value % {n} == 0:
            found[f"value {{index}}"] = value * 2  # even
    return found
```

""",
    """> A quotation of two lines, the first of which
> ends here. Part {n} says no more.

The sum is $a_{{{n}}} + b^2$, and in full:

$$
\\sum_{{k=1}}^{{{n}}} k = \\frac{{{n} \\cdot {m}}}{{2}}
$$

- [x] done with {n}
- [ ] not done yet

""",
)


def answer_text(tokens: int = TOKENS) -> str:
    wanted = tokens * CHARACTERS_A_TOKEN
    parts: list[str] = []
    length = 0
    for number in itertools.count(1):
        parts.append(SECTIONS[number % len(SECTIONS)].format(n=number, m=number + 1))
        length += len(parts[-1])
        if length >= wanted:
            return "".join(parts)[:wanted]
    raise AssertionError


async def complete(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or TOKENS
    text = answer_text(min(limit, TOKENS))
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    size = TOKENS_A_SECOND * CHARACTERS_A_TOKEN // CHUNKS_PER_SECOND
    started = asyncio.get_running_loop().time()
    for number, at in enumerate(range(0, len(text), size)):
        await asyncio.sleep(started + number / CHUNKS_PER_SECOND - asyncio.get_running_loop().time())
        await response.write(_event({"delta": {"content": text[at : at + size]}, "finish_reason": None}))
    usage = {"prompt_tokens": 100, "completion_tokens": len(text) // CHARACTERS_A_TOKEN}
    await response.write(_event({"delta": {}, "finish_reason": "stop"}, usage))
    await response.write(b"data: [DONE]\n\n")
    return response


def _event(choice: dict[str, object], usage: dict[str, int] | None = None) -> bytes:
    chunk = {"id": "long", "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
    return b"data: " + orjson.dumps({**chunk, "usage": usage}) + b"\n\n"


async def serve() -> None:
    application = web.Application()
    application.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())

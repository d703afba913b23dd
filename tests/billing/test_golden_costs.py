"""What providers put on the wire, against costs computed by hand, exact to the nano-dollar.

Each payload passes the whole way: merged over its chunks, normalised, split into disjoint counts, held and
settled. Names with a number are mispricings that were reported of other programs.
"""

from __future__ import annotations

from typing import Any

import pytest

from billing import prices
from billing.models import LedgerEntry
from billing.usage import UsageCounts
from conversations.metering import usage_counts
from llm.usage import Usage, from_gemini, from_openai
from tests.billing import play

pytestmark = pytest.mark.django_db

# USD per million tokens: input, cached input, output, cache write.
FLASH = ("0.30", "0.03", "2.50", "")
FLASH_LITE = ("0.10", "0.01", "0.40", "")
FLASH_3 = ("0.50", "0.05", "3", "")
PRO = ("1.25", "0.125", "10", "")  # doubled, output at 15, above 200,000 input tokens
PRO_OLD_CACHE = ("1.25", "0.625", "10", "")
GPT_4O = ("2.50", "1.25", "10", "")
GPT_4O_MINI = ("0.15", "0.075", "0.60", "")
GPT_5 = ("1.25", "0.125", "10", "")
GPT_NEW = ("1.25", "0.125", "10", "1.5625")
DEEPSEEK = ("0.27", "0.07", "1.10", "")
FIREWORKS = ("1.40", "0.26", "4.40", "")
HAIKU = ("1", "0.10", "5", "1.25")
FINE = ("0.0375", "0.0375", "0.15", "")


def gemini(prompt: int, candidates: int | None = None, **more: int) -> dict[str, Any]:
    raw: dict[str, Any] = {"promptTokenCount": prompt}
    if candidates is not None:
        raw["candidatesTokenCount"] = candidates
    names = {
        "cached": "cachedContentTokenCount",
        "tool": "toolUsePromptTokenCount",
        "thoughts": "thoughtsTokenCount",
    }
    raw.update({names[name]: count for name, count in more.items()})
    raw["totalTokenCount"] = prompt + (candidates or 0) + more.get("tool", 0) + more.get("thoughts", 0)
    return raw


def openai(prompt: int, completion: int, **more: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": more.get("cached", 0),
            "cache_write_tokens": more.get("written", 0),
        },
        "completion_tokens_details": {"reasoning_tokens": more.get("reasoning", 0)},
    }


GOLDEN: list[tuple[str, Any, list[dict[str, Any]], tuple[str, str, str, str], int]] = [
    ("gemini plain", from_gemini, [gemini(100, 50)], FLASH, 155_000),
    ("gemini thoughts stand beside candidates", from_gemini, [gemini(100, 50, thoughts=200)], FLASH, 655_000),
    ("gemini cached within the prompt", from_gemini, [gemini(10_000, 100, cached=8_000)], FLASH, 1_090_000),
    ("gemini all but one cached", from_gemini, [gemini(10_000, 1, cached=9_999, thoughts=1)], FLASH, 305_270),
    ("gemini tool prompt beside the prompt", from_gemini, [gemini(500, 40, tool=300)], FLASH, 340_000),
    (
        "gemini everything at once",
        from_gemini,
        [gemini(1_000, 30, cached=400, tool=200, thoughts=70)],
        FLASH,
        502_000,
    ),
    (
        "hindsight#3365: thoughts and no answer",
        from_gemini,
        [gemini(18, None, thoughts=478)],
        FLASH,
        1_200_400,
    ),
    ("hindsight#3365: 1,232 thoughts", from_gemini, [gemini(300, 264, thoughts=1_232)], FLASH, 3_830_000),
    ("OpenMinis#384: 796 shown as 30", from_gemini, [gemini(10, 30, thoughts=766)], FLASH, 1_993_000),
    ("gemini blocked prompt", from_gemini, [gemini(20)], FLASH, 6_000),
    ("gemini smallest call", from_gemini, [gemini(1, 1)], FLASH_LITE, 500),
    ("gemini odd numbers", from_gemini, [gemini(37, 3)], FLASH_LITE, 4_900),
    ("gemini at the tier", from_gemini, [gemini(200_000, 1_000)], PRO, 260_000_000),
    ("gemini one above the tier", from_gemini, [gemini(200_001, 1_000)], PRO, 515_002_500),
    ("gemini cached above the tier", from_gemini, [gemini(300_000, 10, cached=250_000)], PRO, 187_650_000),
    ("gemini tool prompt lifts into the tier", from_gemini, [gemini(199_999, 1, tool=2)], PRO, 500_017_500),
    (
        "litellm#14849: $0.1849, billed $0.7642",
        from_gemini,
        [gemini(262_960, 1_744, cached=257_955)],
        PRO_OLD_CACHE,
        184_918_125,
    ),
    (
        "LibreChat#12855: cached input counted twice",
        from_gemini,
        [gemini(11_125, 20, cached=7_441, thoughts=409)],
        FLASH,
        2_400_930,
    ),
    (
        "litellm#38423: cache reads at a tenth",
        from_gemini,
        [gemini(78_115, 0, cached=73_697)],
        FLASH,
        3_536_310,
    ),
    (
        "pi#2148: $0.0056, billed $0.0137",
        from_gemini,
        [gemini(20_212, 931, cached=16_298)],
        FLASH_3,
        5_564_900,
    ),
    (
        "gemini usage grows over the stream",
        from_gemini,
        [gemini(50), gemini(50, 10), gemini(50, 25)],
        FLASH_LITE,
        15_000,
    ),
    (
        "langchainjs#9912: cache on an early chunk, the rest on the last",
        from_gemini,
        [gemini(50, 5, cached=40), {"candidatesTokenCount": 9, "totalTokenCount": 59}],
        FLASH_LITE,
        5_000,
    ),
    (
        "gemini null never overwrites",
        from_gemini,
        [gemini(50, 9, cached=40), {"promptTokenCount": None, "cachedContentTokenCount": None}],
        FLASH_LITE,
        5_000,
    ),
    ("openai plain", from_openai, [openai(100, 50)], GPT_4O, 750_000),
    ("openai cached within the prompt", from_openai, [openai(100, 50, cached=64)], GPT_4O, 670_000),
    (
        "openai reasoning within completion",
        from_openai,
        [openai(1_000, 500, reasoning=400)],
        GPT_5,
        6_250_000,
    ),
    (
        "compatible server: reasoning beside completion",
        from_openai,
        [{**openai(100, 50, reasoning=200), "total_tokens": 350}],
        GPT_5,
        2_625_000,
    ),
    (
        "compatible server: more reasoning than completion",
        from_openai,
        [{**openai(100, 10, reasoning=90), "total_tokens": None}],
        GPT_5,
        1_125_000,
    ),
    (
        "deepseek's own cache field",
        from_openai,
        [
            {
                "prompt_tokens": 2_000,
                "completion_tokens": 300,
                "total_tokens": 2_300,
                "prompt_cache_hit_tokens": 1_800,
            }
        ],
        DEEPSEEK,
        510_000,
    ),
    ("openai completion left out", from_openai, [{"prompt_tokens": 10, "total_tokens": 30}], GPT_4O, 225_000),
    (
        "openai details null",
        from_openai,
        [{**openai(100, 50), "prompt_tokens_details": None}],
        GPT_4O,
        750_000,
    ),
    (
        "openai counts as floats",
        from_openai,
        [{"prompt_tokens": 100.0, "completion_tokens": 50.0}],
        GPT_4O,
        750_000,
    ),
    ("openai nothing generated", from_openai, [openai(100, 0)], GPT_4O, 250_000),
    ("openai small model", from_openai, [openai(12_345, 678)], GPT_4O_MINI, 2_258_550),
    ("openai almost all cached", from_openai, [openai(50_000, 200, cached=49_000)], GPT_4O, 65_750_000),
    (
        "openai cache writes cost more",
        from_openai,
        [openai(5_000, 100, cached=1_000, written=2_000)],
        GPT_NEW,
        6_750_000,
    ),
    ("litellm#31714: $0.00860376", from_openai, [openai(27_147, 351, cached=27_146)], FIREWORKS, 8_603_760),
    (
        "aider#5516: nine tokens are not cached",
        from_openai,
        [openai(17_111, 10, cached=17_102)],
        HAIKU,
        1_769_200,
    ),
    (
        "usage in two chunks",
        from_openai,
        [{"prompt_tokens": 7, "completion_tokens": 0}, {"completion_tokens": 4, "total_tokens": 11}],
        GPT_4O,
        57_500,
    ),
    ("rounded up: one token", from_openai, [openai(1, 0)], FINE, 38),
    ("rounded up once: two tokens", from_openai, [openai(2, 0)], FINE, 75),
    ("rounded up once: three and three", from_openai, [openai(3, 3)], FINE, 563),
    ("nothing costs nothing", from_openai, [openai(0, 0)], GPT_4O, 0),
]


def set_price(rates: tuple[str, str, str, str]) -> None:
    read, cached, output, written = (
        prices.picousd_from_usd_per_million(rate) if rate else None for rate in rates
    )
    assert read is not None
    assert output is not None
    tiers = [prices.TierPrice(read, output, cached, written)]
    if rates == PRO:
        tiers.append(prices.TierPrice(2_500_000, 15_000_000, 250_000, above_input_tokens=200_000))
    prices.set_price(model="golden:model", tiers=tiers, valid_from=play.NOON)


@pytest.mark.parametrize(
    ("family", "chunks", "rates", "nanousd"), [row[1:] for row in GOLDEN], ids=[r[0] for r in GOLDEN]
)
def test_it_costs_exactly(
    family: Any, chunks: list[dict[str, Any]], rates: tuple[str, str, str, str], nanousd: int
) -> None:
    set_price(rates)
    raw: dict[str, Any] = {}
    for chunk in chunks:
        raw = Usage(raw=raw).merge(Usage(raw=chunk)).raw
    counts, estimated = usage_counts(
        family(raw), input_estimate_tokens=1, text="", encoding="o200k_base", output_cap_tokens=1
    )
    assert not estimated
    play.budget(None)
    play.budget(10**15, unit="nanousd")
    hold = play.dispatched(model="golden:model", input_tokens=400_000, wanted_output_tokens=2_000)
    play.settle(hold, 0, 0, usage=counts, raw=raw)
    assert LedgerEntry.objects.get().cost_nanousd == nanousd
    assert play.broken() == []


def test_anthropics_counts_are_disjoint_from_the_start() -> None:
    set_price(HAIKU)
    usage = UsageCounts(
        input_uncached=10, cache_read=2_000, cache_write=3_000, output_visible=100, thinking=50
    )
    # 10 x 1,000 + 2,000 x 100 + 3,000 x 1,250 + 150 x 5,000
    assert prices.cost("golden:model", usage, play.NOON) == 4_710_000

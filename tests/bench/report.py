"""Figures of the runs, the targets they are held to, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.bench.load import Run

FLOOR_LIMIT_MS_A_TOKEN = 0.12
FOREIGN_LIMIT_SHARE = 0.10
FAULTS = ("lost", "doubled", "disordered", "foreign", "seq_faults", "text_differs")


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; not a number when there are no values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {f"p{round(share * 100)}": round(percentile(values, share), 3) for share in (0.50, 0.95, 0.99)}


@dataclass(frozen=True, slots=True)
class Figures:
    """All rounds of one scenario on one server; latencies pooled, CPU the median of the rounds."""

    scenario: str
    target: str
    turns: int
    completed: int
    tokens: int  # inside the measured windows
    first_added_ms: dict[str, float]
    token_added_ms: dict[str, float]
    faults: dict[str, int]
    cpu_ms_a_token: float
    cpu_ms_a_token_by_part: dict[str, float]
    client_lag_p99_ms: float
    client_cpu_share: float
    foreign_share: float  # of the machine, taken by others; the worst round
    ends: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not any(self.faults.values()) and self.completed == self.turns


def figures(scenario: str, runs: Sequence[Run]) -> Figures:
    outcomes = [outcome for run in runs for outcome in run.outcomes]
    ends: dict[str, int] = {}
    for outcome in outcomes:
        word = f"{outcome.end} {outcome.detail}".strip()
        ends[word] = ends.get(word, 0) + 1
    lags = [lag / 1000 for run in runs for lag in run.client_lags_us]
    seconds = sum(max(o.ended_us or 0 for o in run.outcomes) - run.outcomes[0].asked_us for run in runs) / 1e6
    return Figures(
        scenario=scenario,
        target=runs[0].target,
        turns=len(outcomes),
        completed=sum(outcome.end == "generation.completed" for outcome in outcomes),
        tokens=sum(run.tokens_in_window() for run in runs),
        first_added_ms=spread([value for run in runs for value in run.first_added_ms()]),
        token_added_ms=spread([value for run in runs for value in run.added_ms()]),
        faults={name: sum(int(getattr(outcome, name)) for outcome in outcomes) for name in FAULTS},
        cpu_ms_a_token=round(median(run.cpu_ms_a_token() for run in runs), 4),
        cpu_ms_a_token_by_part={
            part: round(median(run.cpu_ms_a_token(part) for run in runs), 4) for part in runs[0].cpu_seconds
        },
        client_lag_p99_ms=round(percentile(lags, 0.99), 2),
        client_cpu_share=round(sum(run.client_cpu_seconds for run in runs) / max(seconds, 0.001), 3),
        foreign_share=max(run.foreign_share for run in runs),
        ends=ends,
    )


def request_targets(run: Run, limit_ms: float) -> list[Target]:
    took = [each.took_us / 1000 for each in run.answered]
    return [
        Target("requests beside streams p95", round(percentile(took, 0.95), 1), limit_ms, "ms"),
        Target("requests beside streams: faults", sum(bool(each.fault) for each in run.answered), 0),
    ]


def stop_delays_ms(run: Run, requests: Sequence[dict[str, Any]]) -> list[float | None]:
    """Stop frame sent to upstream connection closed, by stream; None where it was never closed."""
    closed = {request["stream"]: request["closed_us"] for request in requests}
    delays: list[float | None] = []
    for outcome in run.outcomes:
        if outcome.stop_sent_us is not None:
            at = closed.get(outcome.stream)
            delays.append(None if at is None else (at - outcome.stop_sent_us) / 1000)
    return delays


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the verdict: ``value`` must stay below ``limit`` (or equal it, when the limit is 0)."""

    name: str
    value: float
    limit: float
    unit: str = ""

    @property
    def passed(self) -> bool:
        # Not a number passes nothing.
        return self.value <= self.limit if self.limit == 0 or self.unit == "x" else self.value < self.limit

    def line(self) -> str:
        word = "pass" if self.passed else "MISS"
        return f"  {word}  {self.name}: {self.value:g} {self.unit} (limit {self.limit:g})"


# scenario -> (first token p95 ms or None, token p95 ms, ratio of CPU to the floor or None)
LIMITS: dict[str, tuple[float | None, float, float | None]] = {
    "openai steady": (60, 15, 3),
    "openai burst": (1500, 50, None),
    "openai beside requests": (None, 15, None),
    "gemini steady": (None, 25, None),
    "gemini burst": (1500, 50, None),
}


def targets(found: Figures, floor: Figures | None) -> list[Target]:
    first_limit, token_limit, ratio_limit = LIMITS[found.scenario]
    lines = []
    if first_limit is not None:
        lines.append(
            Target(f"{found.scenario}: first token p95", found.first_added_ms["p95"], first_limit, "ms")
        )
    lines.append(Target(f"{found.scenario}: token p95", found.token_added_ms["p95"], token_limit, "ms"))
    if ratio_limit is not None and floor is not None:
        ratio = round(found.cpu_ms_a_token / floor.cpu_ms_a_token, 2)
        lines.append(Target(f"{found.scenario}: CPU to the floor's", ratio, ratio_limit, "x"))
    lines += [Target(f"{found.scenario}: {name}", count, 0) for name, count in found.faults.items() if count]
    lost = found.faults["lost"] + found.faults["doubled"] + found.faults["disordered"]
    lines.append(Target(f"{found.scenario}: lost, doubled, out of order", lost, 0))
    lines.append(Target(f"{found.scenario}: turns not completed", found.turns - found.completed, 0))
    return lines


_HEAD = (
    f"{'scenario':<22} {'server':<8} {'first token +ms p50/95/99':<26} {'token +ms p50/95/99':<22}"
    f" {'lost':>4} {'twice':>5} {'order':>5} {'CPU ms/token':>12} {'x floor':>7}"
)


def table(rows: Sequence[Figures]) -> str:
    floors = {row.scenario: row.cpu_ms_a_token for row in rows if row.target == "floor"}
    lines = [_HEAD]
    for row in rows:
        base = floors.get(row.scenario)
        ratio = f"{row.cpu_ms_a_token / base:.2f}" if base else "-"
        first = " / ".join(f"{value:.1f}" for value in row.first_added_ms.values())
        token = " / ".join(f"{value:.1f}" for value in row.token_added_ms.values())
        faults = f"{row.faults['lost']:>4} {row.faults['doubled']:>5} {row.faults['disordered']:>5}"
        lines.append(
            f"{row.scenario:<22} {row.target:<8} {first:<26} {token:<22} {faults}"
            f" {row.cpu_ms_a_token:>12.4f} {ratio:>7}"
        )
        if len(row.cpu_ms_a_token_by_part) > 1:
            parts = ", ".join(f"{part} {value:.4f}" for part, value in row.cpu_ms_a_token_by_part.items())
            lines.append(f"{'':<31} CPU by part: {parts}")
        if not row.clean:
            lines.append(f"{'':<31} faults: {row.faults}; ends: {row.ends}")
        lines.append(
            f"{'':<31} client: loop lag p99 {row.client_lag_p99_ms} ms, {row.client_cpu_share:.0%} of a core;"
            f" {row.tokens} tokens counted"
        )
        if row.foreign_share > FOREIGN_LIMIT_SHARE:
            lines.append(
                f"{'':<31} others took {row.foreign_share:.0%} of the machine: these latencies say little"
            )
    return "\n".join(lines)

"""What an expression of Prometheus reads and gives, by parsing it as Prometheus does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import promql_parser


@dataclass
class Asked:
    """What an expression reads: metrics with the labels that it names of them, and the labels of its result
    (None = those of the metrics).
    """

    metrics: dict[str, set[str]]
    labels: set[str] | None


def asked(text: str) -> Asked:
    """Parsed as Prometheus does, with its types; raises ValueError. Grafana's variables are filled in."""
    expression = promql_parser.parse(text.replace("$__rate_interval", "5m"))
    found = Asked({}, None)

    def selector(node: promql_parser.VectorSelector) -> None:
        labels = {matcher.name for matcher in node.matchers.matchers}
        found.metrics.setdefault(node.name or "", set()).update(labels)

    def aggregate(node: promql_parser.AggregateExpr) -> None:
        names = set(node.modifier.labels) if node.modifier else set()
        inner = asked(str(node.expr))
        for metric in inner.metrics:
            found.metrics.setdefault(metric, set()).update(names)

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            selector(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            selector(node)
        elif isinstance(node, promql_parser.AggregateExpr):
            aggregate(node)

    promql_parser.walk(expression, visit)
    found.labels = result_labels(expression)
    return found


def result_labels(node: Any) -> set[str] | None:
    if isinstance(node, promql_parser.ParenExpr):
        return result_labels(node.expr)
    if isinstance(node, promql_parser.AggregateExpr):
        return set(node.modifier.labels) if node.modifier else set()
    if isinstance(node, promql_parser.BinaryExpr):
        return result_labels(node.rhs if _is_scalar(node.lhs) else node.lhs)
    if isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
        inner = result_labels(node.args[1])
        return None if inner is None else inner - {"le"}
    return None


def _is_scalar(node: Any) -> bool:
    is_time = isinstance(node, promql_parser.Call) and node.func.name == "time"
    return is_time or isinstance(node, promql_parser.NumberLiteral)

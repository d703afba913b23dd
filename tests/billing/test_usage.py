from __future__ import annotations

import pytest

from billing.errors import InvalidAmount
from billing.usage import UsageCounts


def test_totals() -> None:
    usage = UsageCounts(1, 2, 3, 4, 5, 6)
    assert (usage.input_total, usage.output_total, usage.total) == (10, 11, 21)
    assert usage.as_tuple() == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize("count", [-1, 1.0, True, None, 10**8 + 1])
def test_it_refuses_what_is_no_count(count: object) -> None:
    with pytest.raises(InvalidAmount):
        UsageCounts(output_visible=count)  # type: ignore[arg-type]  # what a careless caller may pass

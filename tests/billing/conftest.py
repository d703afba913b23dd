from __future__ import annotations

import tests.append_only  # noqa: F401 - makes the flush of the test database possible

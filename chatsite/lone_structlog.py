"""structlog without twisted (here for daphne) and rich (here for tests), which it loads wherever they are.

Neither writes a line of ours, and both were a fifth of what each process does before it serves.
"""

from __future__ import annotations

import sys

_UNWANTED = [name for name in ("rich", "structlog.twisted") if name not in sys.modules]

for name in _UNWANTED:
    sys.modules[name] = None  # type: ignore[assignment]  # "is not to be found", says Python's import system
try:
    import structlog  # noqa: F401 - from here on it is loaded, for whoever asks for it
finally:
    for name in _UNWANTED:
        del sys.modules[name]

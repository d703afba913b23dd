"""``python -m chatsite.launcher``: the second half of ``make run``."""

from __future__ import annotations

import sys

from chatsite.launcher.supervisor import main

if __name__ == "__main__":
    sys.exit(main())

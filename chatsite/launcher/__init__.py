"""What ``make run`` does: set-up, the browser bundle, and the supervisor of the processes."""

from __future__ import annotations

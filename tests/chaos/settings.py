"""The product's own settings; with ``CHAOS_DROP_PERCENT`` the channel layer loses that share of events.

With ``CHAOS_ROUND_SECONDS`` a process looks as often for what it was not told.
"""

from __future__ import annotations

import os

from chatsite.settings import *  # noqa: F403
from chatsite.settings import CHANNEL_LAYERS

if os.environ.get("CHAOS_DROP_PERCENT"):
    CHANNEL_LAYERS["default"]["BACKEND"] = "tests.chaos.lossy.LossyChannelLayer"

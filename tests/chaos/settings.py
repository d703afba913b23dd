"""The product's own settings; ``CHAOS_DROP_PERCENT`` makes the channel layer lose that share of its events."""

from __future__ import annotations

import os

from chatsite.settings import *  # noqa: F403
from chatsite.settings import CHANNEL_LAYERS

if float(os.environ.get("CHAOS_DROP_PERCENT", "0")):
    CHANNEL_LAYERS["default"]["BACKEND"] = "tests.chaos.lossy.LossyChannelLayer"

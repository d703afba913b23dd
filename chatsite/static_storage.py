"""How static files are stored: hashed names, kept for ever by browsers, and compressed beforehand."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    """A page that names an unknown file is shown without it instead of not at all."""

    manifest_strict = False

"""Static files with their version in the address, so that browsers may keep them for ever."""

import hashlib
from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage


@cache
def _version(name: str) -> str:
    path = finders.find(name)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:10] if isinstance(path, str) else ""


class VersionedStaticStorage(StaticFilesStorage):
    """`{% static %}` gives `…/app.css?v=HASH`; without the manifest's collecting step."""

    def url(self, name: str | None) -> str:
        address = super().url(name)
        version = _version(name) if name and not settings.DEBUG else ""
        return f"{address}?v={version}" if version else address

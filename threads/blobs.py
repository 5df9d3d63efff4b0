"""Uploaded content, kept once under its SHA-256."""

import hashlib

from core import layout
from core.files import write_atomic


def store(content: bytes) -> str:
    """Keep the content; returns its digest. Storing the same again writes nothing."""
    digest = hashlib.sha256(content).hexdigest()
    path = layout.blob_path(digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(path, content)
    return digest


def load(digest: str) -> bytes:
    return layout.blob_path(digest).read_bytes()

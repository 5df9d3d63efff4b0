"""Addresses that are listened on, and addresses that people type."""

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def is_any(host: str) -> bool:
    """Does the host stand for all addresses of the machine?"""
    return host in _ANY


def url_of(host: str, port: int) -> str:
    """Where a browser on this machine finds what listens on host and port."""
    shown = _ANY.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

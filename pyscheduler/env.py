"""Typed readers of the environment: a wrong value stops the start with one line that names variable, fault and remedy."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


class InvalidVariable(SystemExit):
    """An environment variable has a value the platform cannot start with."""

    def __init__(self, name: str, fault: str, remedy: str) -> None:
        super().__init__(f"{name}: {fault}; {remedy}")


class Environment:
    """Reads `PYSCHED_…` and a few other variables; `source` is `os.environ` outside tests."""

    def __init__(self, source: Mapping[str, str] = os.environ) -> None:
        self.source = source

    def text(self, name: str, default: str = "") -> str:
        return self.source.get(name, default).strip() or default

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.source.get(name)
        if value is None:
            return default
        word = value.strip().lower()
        if word in TRUE:
            return True
        if word in FALSE:
            return False
        raise InvalidVariable(name, f"{value!r} is neither yes nor no", "use true or false")

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self.source.get(name, "").strip()
        if not value:
            return default
        remedy = f"use a whole number from {least} to {most}"
        try:
            number = int(value)
        except ValueError:
            raise InvalidVariable(name, f"{value!r} is not a number", remedy) from None
        if not least <= number <= most:
            raise InvalidVariable(name, f"{number} is out of range", remedy)
        return number

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise InvalidVariable(name, f"{value!r} is not known", "use one of " + ", ".join(choices))
        return value

    def words(self, name: str, default: str = "") -> list[str]:
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def folder(self, name: str, default: Path) -> Path:
        """An absolute path; relative values are taken from the current folder."""
        value = self.source.get(name, "").strip()
        path = Path(value).expanduser().absolute() if value else default
        if path.exists() and not path.is_dir():
            raise InvalidVariable(name, f"{path} is not a folder", "name a folder the platform may write to")
        return path

    def database(self, name: str, default: Path) -> dict[str, Any]:
        """Django's `DATABASES["default"]` for a `sqlite:///PATH` or `postgresql://…` address; SQLite at `default` when unset."""
        url = self.text(name)
        if not url:
            return sqlite(default)
        parts = urlsplit(url)
        if parts.scheme == "sqlite":
            path = unquote(parts.path[1:])
            if not path:
                raise InvalidVariable(name, "no file is named", "use sqlite:///folder/file or sqlite:////absolute/file")
            return sqlite(Path(path).absolute())
        if parts.scheme in ("postgres", "postgresql"):
            return self._postgres(name, url)
        raise InvalidVariable(name, f"{parts.scheme or url!r} is not a known database", "use sqlite:///… or postgresql://…")

    def _postgres(self, name: str, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise InvalidVariable(name, "the port is not a number", "use postgresql://user:password@host:5432/name") from None
        if not parts.path.strip("/"):
            raise InvalidVariable(name, "no database is named", "use postgresql://user:password@host:5432/name")
        options = dict(parse_qsl(parts.query))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.strip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": options.pop("host", None) or parts.hostname or "",
            "PORT": str(port or ""),
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": options,
        }


def sqlite(path: Path) -> dict[str, Any]:
    """WAL and IMMEDIATE: without both, two writers get "database is locked" whatever the timeout."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;",
        },
    }

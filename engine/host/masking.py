"""Secrets' values taken out of what a script prints, before a byte of it reaches a disk.

A value is looked for as it is and in the forms in which it commonly gets into logs: quoted for an address, base64 at
any place of a longer text, escaped for JSON, hexadecimal. Of one of several lines, such as a private key, each line of at
least `LEAST_LINE` characters is looked for as well. Not found: values that a script changes otherwise, and base64 broken into
lines. Values of fewer than `LEAST_MASKED` characters are not looked for: they would black out half a log.
"""

import base64
import contextlib
import json
from typing import Any
from urllib.parse import quote, quote_plus

LEAST_MASKED = 4
LEAST_LINE = 8
MASK = b"********"


def forms(value: str) -> set[bytes]:
    """All that is masked for one value."""
    raw = value.encode("utf-8", "surrogateescape")
    return {raw.hex().encode(), raw.hex().upper().encode()} | _written(value) | _base64_forms(raw)


def _written(value: str) -> set[bytes]:
    """As it is, quoted, escaped."""
    raw = value.encode("utf-8", "surrogateescape")
    quoted = {quote(raw, safe=safe) for safe in ("", "/", "!'()*", "~")} | {quote_plus(raw)}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {raw} | {word.encode("utf-8", "surrogateescape") for word in quoted | escaped}


def _line_forms(value: str) -> set[bytes]:
    """Of each of several lines, but for those that say no more than what lies between them ("-----BEGIN … KEY-----").

    Not base64 and hexadecimal: a script that encodes such a value encodes all of it, and thousands of forms would slow its log.
    """
    lines = {line.strip() for line in value.splitlines()} if "\n" in value or "\r" in value else set()
    wanted = {line for line in lines if len(line) >= LEAST_LINE and not (line.startswith("-----") and line.endswith("-----"))}
    return {form for line in wanted for form in _written(line)}


def _numbers(secrets: list[str]) -> set[float]:
    """Numbers that tell a secret; of fewer digits than are masked, a number tells none."""
    found: set[float] = set()
    for secret in secrets:
        for kind in (int, float):
            with contextlib.suppress(ValueError, OverflowError):
                found.add(kind(secret))
    return {number for number in found if abs(number) >= 10 ** (LEAST_MASKED - 1)}


def _base64_forms(raw: bytes) -> set[bytes]:
    """Alone with its padding, and within a longer text: there only characters that depend on nothing but the value."""
    found = {base64.b64encode(raw), base64.urlsafe_b64encode(raw)}
    for before in range(3):
        first, last = (8 * before + 5) // 6, 8 * (before + len(raw)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(bytes(before) + raw)[first:last])
    return found


class Masker:
    """Masks a stream piece by piece.

    What might be the beginning of a secret is kept back until more of the stream shows that it is none, however long the
    silence: an end that happens to look so comes late, a secret never comes at all. At most the longest form less one byte.
    """

    def __init__(self, secrets: list[str]) -> None:
        wanted = {form for secret in secrets if len(secret) >= LEAST_MASKED for form in forms(secret) | _line_forms(secret)}
        self._needles = sorted(wanted, key=len, reverse=True)
        self._numbers = _numbers([secret for secret in secrets if len(secret) >= LEAST_MASKED])
        self._held = b""
        # So much of what is held belongs to a secret whose mask is already out.
        self._covered = 0

    def twin(self) -> "Masker":
        """One of the same secrets for another stream."""
        twin = Masker([])
        twin._needles = self._needles
        return twin

    def feed(self, piece: bytes) -> bytes:
        """What can be told by now."""
        if not self._needles:
            return piece
        text = self._held + piece
        return self._told(text, len(text) - max(_begun(text, needle) for needle in self._needles))

    def finish(self) -> bytes:
        """The rest. A begun secret is masked too, unless so little of it is there that it tells nothing."""
        rest = self._held[self._covered :]
        self._held, self._covered = b"", 0
        return MASK if len(rest) >= LEAST_MASKED else rest

    def whole(self, text: str) -> str:
        """A text that stands for itself."""
        raw, pieces, at = text.encode("utf-8", "replace"), [], 0
        for start, end in self._spans(raw):
            pieces += [raw[at:start], MASK]
            at = end
        return b"".join([*pieces, raw[at:]]).decode("utf-8", "replace")

    def value(self, value: Any) -> Any:
        """JSON data without the secrets in its texts, names and numbers; at most some hundred levels deep."""
        if isinstance(value, str):
            return self.whole(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.whole(name): self.value(item) for name, item in value.items()}
        return MASK.decode() if self._tells(value) else value

    def _tells(self, value: Any) -> bool:
        """Is this a number that is a secret, or has one among its digits?"""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return value in self._numbers or bool(self._spans(json.dumps(value).encode()))

    def _told(self, text: bytes, cut: int) -> bytes:
        pieces, at = [], 0
        for start, end in self._spans(text, self._covered):
            if start >= cut:
                break
            # At the very beginning it goes on with one whose mask was told with an earlier piece.
            pieces += [text[at:start], b"" if start == 0 and self._covered else MASK]
            at = end
        pieces.append(text[at:cut])
        self._held, self._covered = text[cut:], max(0, at - cut, self._covered - cut)
        return b"".join(pieces)

    def _spans(self, text: bytes, covered: int = 0) -> list[tuple[int, int]]:
        """Where secrets are, in order; those that overlap are one, so that no end of one is left beside another."""
        found = [(0, covered)] if covered else []
        for needle in self._needles:
            start = text.find(needle)
            while start >= 0:
                found.append((start, start + len(needle)))
                start = text.find(needle, start + 1)
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged


def _begun(text: bytes, needle: bytes) -> int:
    """Length of the longest end of the text with which the needle begins, not counting the whole needle."""
    start = text.find(needle[:1], max(0, len(text) - len(needle) + 1))
    while start >= 0:
        if needle.startswith(text[start:]):
            return len(text) - start
        start = text.find(needle[:1], start + 1)
    return 0

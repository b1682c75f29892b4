"""The business's own words, and the exceptions it has granted, as read from ``glossary.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from goldseam.errors import InvalidInput
from goldseam.events.past_tense import base_forms

GLOSSARY_FILE: Final = "glossary.toml"
"""The file's name where it is looked for beside the events."""

GLOSSARY_BYTES_MAX: Final = 1_000_000
"""Largest glossary that is read: a bigger file is not a glossary."""

_KEYS: Final = frozenset({"words", "past_tense", "waiver"})
_WAIVER_KEYS: Final = frozenset({"name", "rule", "reason", "expires"})
_WAIVER_HEADER: Final = re.compile(r"^\s*\[\[\s*waiver\s*\]\]", re.MULTILINE)


class InvalidGlossary(InvalidInput):
    """A glossary that cannot be read, or that says something nobody understands."""

    failure = "events/technical-name"

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"glossary {path!r} cannot be used: {reason}; correct the file")


@dataclass(frozen=True, slots=True)
class Waiver:
    """One name that may break one rule, because somebody said why.

    ``expires`` is the last day on which it holds; ``line`` is where the file says it.
    """

    name: str
    rule: str
    reason: str
    expires: date | None = None
    line: int = 1


@dataclass(frozen=True, slots=True)
class Glossary:
    """Business words and waivers, from the guide's "Modeling Events vs. Modeling State".

    Attributes:
        words: words of the business, case-folded; when empty, any word is the business's.
        past_tense: further words that say something happened, for other languages.
        waivers: as written, also those that do not hold.
        path: the file, for messages.
        today: waivers that expired before this day do not hold; ``None``: none has expired.
    """

    words: frozenset[str] = frozenset()
    past_tense: frozenset[str] = frozenset()
    waivers: tuple[Waiver, ...] = ()
    path: str = GLOSSARY_FILE
    today: date | None = None

    def knows(self, word: str) -> bool:
        """Whether ``word``, or what it is an inflection of, is a word of the business."""
        return not self.words.isdisjoint(base_forms(word))

    def waiver(self, name: str, rule: str) -> Waiver | None:
        """The waiver that lets ``name`` break ``rule``: one with a reason that has not expired."""
        for waiver in self.waivers:
            if (waiver.name, waiver.rule) == (name, rule) and self.holds(waiver):
                return waiver
        return None

    def holds(self, waiver: Waiver) -> bool:
        """Whether the waiver has a reason and has not expired."""
        return bool(waiver.reason) and not self.expired(waiver)

    def expired(self, waiver: Waiver) -> bool:
        """Whether the waiver's last day is over."""
        return waiver.expires is not None and self.today is not None and waiver.expires < self.today


def read_glossary(path: Path, today: date | None = None) -> Glossary:
    """Read a glossary file of at most 1,000,000 bytes.

    Raises:
        InvalidGlossary: it cannot be read, is no TOML, or has keys of another meaning.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidGlossary(str(path), error.strerror or str(error)) from error
    if len(content) > GLOSSARY_BYTES_MAX:
        raise InvalidGlossary(str(path), f"it is larger than {GLOSSARY_BYTES_MAX} bytes")
    try:
        return parse_glossary(content.decode("utf-8"), str(path), today)
    except UnicodeDecodeError as error:
        raise InvalidGlossary(str(path), "it is not UTF-8") from error


def parse_glossary(text: str, path: str = GLOSSARY_FILE, today: date | None = None) -> Glossary:
    """The glossary that ``text`` writes in TOML.

    Raises:
        InvalidGlossary: no TOML, or keys of another meaning.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidGlossary(path, f"it is no TOML ({error})") from error
    _only(path, "the glossary", data, _KEYS)
    waivers = data.get("waiver", [])
    if not isinstance(waivers, list) or not all(isinstance(entry, dict) for entry in waivers):
        raise InvalidGlossary(path, "a waiver is written as [[waiver]] with name, rule, reason")
    lines = [text.count("\n", 0, found.end()) + 1 for found in _WAIVER_HEADER.finditer(text)]
    lines += [1] * (len(waivers) - len(lines))
    return Glossary(
        words=_words(path, "words", data.get("words", [])),
        past_tense=_words(path, "past_tense", data.get("past_tense", [])),
        waivers=tuple(_waiver(path, *both) for both in zip(waivers, lines, strict=False)),
        path=path,
        today=today,
    )


def _words(path: str, key: str, value: object) -> frozenset[str]:
    """Words from a list, or from a table of word = meaning; a phrase gives each of its words."""
    if not isinstance(value, list | dict) or not all(isinstance(word, str) for word in value):
        raise InvalidGlossary(path, f"{key} must be a list of words or a table of word = meaning")
    return frozenset(
        part for word in value for part in re.split(r"[\s_-]+", word.casefold()) if part
    )


def _waiver(path: str, entry: Mapping[str, Any], line: int) -> Waiver:
    where = f"the waiver on line {line}"
    _only(path, where, entry, _WAIVER_KEYS)
    for key in ("name", "rule", "reason"):
        if not isinstance(entry.get(key, ""), str):
            raise InvalidGlossary(path, f"{key} of {where} must be a text")
    for key in ("name", "rule"):
        if not entry.get(key):
            raise InvalidGlossary(path, f"{where} has no {key}")
    expires = entry.get("expires")
    if isinstance(expires, datetime):
        expires = expires.date()
    if expires is not None and not isinstance(expires, date):
        raise InvalidGlossary(path, f"expires of {where} must be a date such as 2031-12-31")
    reason = entry.get("reason", "").strip()
    return Waiver(entry["name"], entry["rule"], reason, expires, line)


def _only(path: str, where: str, given: Iterable[str], known: frozenset[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise InvalidGlossary(
            path, f"{where} has {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )

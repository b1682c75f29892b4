"""The litmus test: can a business person understand an event's name without translation?

From the guide's "Modeling Events vs. Modeling State": `CustomerPlacedOrder` yes,
`UserRecordUpdated` no. Pure: a name goes in, findings come out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from goldseam.events.glossary import Glossary
from goldseam.events.past_tense import (
    is_past,
    may_be_past,
    singular_forms,
)

Level = Literal["error", "note"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the litmus test, with a code that never gets another meaning."""

    code: str
    slug: str
    title: str
    why: str
    question: str
    level: Level = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """A name that breaks a rule: the fact, why it matters, what to ask the business."""

    rule: str
    name: str
    fact: str
    why: str
    question: str
    level: Level = "error"

    @property
    def message(self) -> str:
        """The three in one line."""
        return f"{self.fact}; {self.why}. Ask: {self.question}"


RULES: Final = {
    rule.code: rule
    for rule in (
        Rule(
            "GS101",
            "unreadable",
            "The name has no words, or characters that cannot be printed",
            "nobody can read it, so nobody can say whether it is true",
            "what happened, in a sentence of two or three words?",
        ),
        Rule(
            "GS102",
            "crud-word",
            "The name says what was done to a row",
            "it keeps the result and loses the reason",
            "why did it happen, and what does the business call that?",
        ),
        Rule(
            "GS103",
            "technical-noun",
            "The name has a word of the program, not of the business",
            "a business person needs a translator for it",
            "what does the business call this thing?",
        ),
        Rule(
            "GS104",
            "not-past-tense",
            "The name does not say that something happened",
            "an event is a fact that can no longer be refused, so its verb is in the past",
            "what had happened by the time this was written down, as in OrderPlaced?",
        ),
        Rule(
            "GS105",
            "not-in-glossary",
            "The name has a word that the glossary does not",
            "two words for one thing, or one word for two, split the language",
            "which word of the glossary is meant, or which word is missing from it?",
        ),
        Rule(
            "GS106",
            "no-subject",
            "The name does not say who or what it happened to",
            "out of its module it can be about anything",
            "who did it, or to what was it done, as in AccountOpened?",
            "note",
        ),
        Rule(
            "GS201",
            "waiver-without-ground",
            "A waiver has no reason, or waives a rule that does not exist",
            "an exception that nobody can explain is never taken back",
            "who needs this name, and what would have to happen before it can go?",
        ),
        Rule(
            "GS202",
            "waiver-expired",
            "A waiver's last day is over",
            "the name was to be gone by then",
            "is it time to rename the event, or is there a new reason and a new day?",
        ),
        Rule(
            "GS203",
            "waiver-unused",
            "A waiver waives nothing in this run",
            "what is left over hides the next name that breaks the rule",
            "can it be taken out of the glossary?",
            "note",
        ),
    )
}
"""Every rule by its code."""

CRUD_WORDS: Final = frozenset({
    "changed", "created", "deleted", "edited", "inserted", "modified", "mutated", "overwritten",
    "overwrote", "persisted", "recreated", "saved", "synced", "synchronised", "synchronized",
    "updated", "upserted",
})  # fmt: skip
"""What happens to rows; flagged wherever it stands."""

CRUD_COMMANDS: Final = frozenset({
    "change", "changes", "changing", "create", "creates", "creating", "creation", "delete",
    "deletes", "deleting", "deletion", "edit", "editing", "edits", "insert", "inserting",
    "insertion", "inserts", "modification", "modifies", "modify", "modifying", "mutate",
    "mutation", "patch", "persist", "persisting", "save", "saves", "saving", "sync", "syncing",
    "update", "updates", "updating", "upsert", "upserting",
})  # fmt: skip
"""The same as a command or in progress; a noun, and allowed, beside a verb in the past."""

TECHNICAL_NOUNS: Final = frozenset({
    "aggregate", "api", "array", "attribute", "backend", "blob", "bool", "boolean", "buffer",
    "bytes", "cache", "callback", "column", "config", "crud", "csv", "dao", "data", "database",
    "datum", "db", "dto", "endpoint", "entity", "enum", "event", "evt", "field", "flag",
    "frontend", "guid", "handler", "http", "impl", "info", "instance", "int", "integer", "json",
    "message", "metadata", "model", "msg", "namespace", "null", "obj", "object", "param",
    "payload", "pojo", "record", "row", "rpc", "schema", "snapshot", "sql", "state", "status",
    "str", "string", "struct", "table", "timestamp", "tuple", "url", "util", "uuid", "vo",
    "webhook", "xml",
})  # fmt: skip
"""Words of the program; the glossary may claim one for the business (a restaurant's tables)."""

FUNCTION_WORDS: Final = frozenset({
    "a", "across", "after", "again", "against", "ago", "along", "an", "and", "another", "are",
    "around", "as", "at", "away", "back", "be", "been", "before", "being", "between", "but", "by",
    "down", "during", "for", "forward", "from", "had", "has", "have", "in", "into", "is", "it",
    "its", "no", "not", "of", "off", "on", "onto", "or", "out", "over", "per", "since", "than",
    "that", "the", "their", "then", "through", "to", "together", "too", "toward", "towards",
    "under", "until", "up", "upon", "via", "was", "were", "with", "within", "without",
})  # fmt: skip
"""Words that every business uses and no glossary needs."""

COMMANDS: Final = frozenset({
    "accept", "acknowledge", "activate", "add", "adjust", "allocate", "apply", "approve",
    "assign", "attach", "authorise", "authorize", "begin", "bring", "buy", "calculate", "cancel",
    "close", "collect", "complete", "confirm", "connect", "convert", "create", "deactivate",
    "decline", "delete", "deliver", "deny", "detach", "disable", "discard", "edit", "enable",
    "enrol", "enroll", "escalate", "execute", "expire", "extend", "finish", "fulfil", "fulfill",
    "generate", "get", "give", "hire", "initiate", "insert", "inspect", "install", "invite",
    "join", "keep", "lock", "make", "mark", "modify", "move", "notify", "obtain", "open", "pay",
    "perform", "pick", "place", "prepare", "provide", "publish", "put", "raise", "reactivate",
    "receive", "redeem", "refuse", "register", "reject", "release", "remove", "renew", "reopen",
    "repay", "replace", "reschedule", "reserve", "resolve", "restore", "resume", "revoke", "save",
    "sell", "send", "set", "settle", "sign", "start", "stop", "submit", "suspend", "take",
    "terminate", "transmit", "unblock", "unlock", "unsubscribe", "update", "upgrade", "upsert",
    "validate", "verify", "withdraw", "write",
})  # fmt: skip
"""Verbs that, at the head of a name, give an order."""

SHOWN_CHARACTERS_MAX: Final = 200
"""Longest name that a message repeats in full."""

_BOUNDARY: Final = re.compile(r"[\W_]+")
_VERSION: Final = re.compile(r"v(?:ersion)?\d*|\d+")


def words_of(name: str) -> list[str]:
    """The words of a CamelCase, snake_case, kebab-case or dotted name, as they are written.

    An acronym is one word (KYCPassed: KYC, Passed); digits stay with the word before them.
    """
    words: list[str] = []
    for part in _BOUNDARY.split(name):
        start = 0
        for at in range(1, len(part)):
            before, here, after = part[at - 1], part[at], part[at + 1 : at + 2]
            if here.isupper() and (before.islower() or after.islower()):
                words.append(part[start:at])
                start = at
        words.append(part[start:])
    return [word for word in words if word]


def check(name: str, glossary: Glossary | None = None) -> list[Finding]:
    """What is wrong with an event's name; nothing, when it passes or has a waiver.

    A finding of level ``note`` is advice, one of level ``error`` fails the lint.
    Any text is a possible name.
    """
    known = Glossary() if glossary is None else glossary
    return [found for found in breaches(name, known) if not known.waiver(name, found.rule)]


def breaches(name: str, glossary: Glossary) -> list[Finding]:
    """Every rule that ``name`` breaks, waived or not, at most one finding per rule and word."""
    written = words_of(name)
    words = [word.casefold().strip("0123456789") for word in written]
    if not any(word.isalpha() for word in words):
        return [_finding("GS101", name, f"{_shown(name)} has no words")]
    if not name.isprintable():
        fact = f"{_shown(name)} has characters that cannot be printed"
        return [_finding("GS101", name, fact)]
    tail_is_version = len(words) > 1 and _VERSION.fullmatch(written[-1].casefold()) is not None
    if tail_is_version:
        words.pop()
    verbs = _past_verbs(words, glossary)
    found = [*_crud(name, words, verbs, glossary), *_technical(name, words, glossary)]
    if tail_is_version:
        fact = f"{_shown(name)} ends in the version {_shown(written[-1])}"
        found.append(_finding("GS103", name, f"{fact}, which belongs into @event(version=...)"))
    if tense := _tense(words, verbs):
        found.append(_finding("GS104", name, f"{_shown(name)} {tense}"))
    elif subject := _subject(words, verbs):
        found.append(_finding("GS106", name, f"{_shown(name)} {subject}"))
    return [*found, *_foreign(name, words, glossary)]


def waiver_findings(
    glossary: Glossary, broken: Collection[tuple[str, str]]
) -> list[tuple[int, Finding]]:
    """What is wrong with the glossary's waivers, each with its line in the file.

    Args:
        glossary: the glossary that was used.
        broken: every (name, rule) that :func:`breaches` found in this run.
    """
    found: list[tuple[int, Finding]] = []
    for waiver in glossary.waivers:
        fact = f"the waiver of {waiver.rule} for {_shown(waiver.name)}"
        if not waiver.reason:
            rule, fact = "GS201", f"{fact} has no reason and does not hold"
        elif waiver.rule not in RULES:
            rule, fact = "GS201", f"{fact} is for a rule that does not exist"
        elif glossary.expired(waiver):
            rule, fact = "GS202", f"{fact} expired after {waiver.expires}"
        elif (waiver.name, waiver.rule) not in broken:
            rule, fact = "GS203", f"{fact} waives nothing in this run"
        else:
            continue
        found.append((waiver.line, _finding(rule, waiver.name, fact)))
    return found


def _crud(name: str, words: list[str], verbs: list[int], glossary: Glossary) -> Iterator[Finding]:
    for at, word in enumerate(words):
        flagged = (
            word in CRUD_WORDS
            or (word in CRUD_COMMANDS and not verbs)
            or (word == "set" and (at in {0, len(words) - 1} or verbs == [at]))
        )
        if flagged and word not in glossary.words:
            fact = f"{_shown(word)} in {_shown(name)} is what happens to a row"
            yield _finding("GS102", name, fact)


def _technical(name: str, words: list[str], glossary: Glossary) -> Iterator[Finding]:
    for word in dict.fromkeys(words):
        forms = {word, *singular_forms(word)}
        if TECHNICAL_NOUNS.isdisjoint(forms) or not glossary.words.isdisjoint(forms):
            continue
        if word in {"event", "evt"} and word == words[-1] and len(words) > 1:
            fact = f"{_shown(name)} ends in {_shown(word)}, which every event is"
        else:
            fact = f"{_shown(word)} in {_shown(name)} is a word of the program"
        yield _finding("GS103", name, fact)


def _foreign(name: str, words: list[str], glossary: Glossary) -> Iterator[Finding]:
    if not glossary.words:
        return
    for word in dict.fromkeys(words):
        if not word or word in FUNCTION_WORDS or glossary.knows(word):
            continue
        fact = f"{_shown(word)} in {_shown(name)} is not a word of {_shown(glossary.path)}"
        yield _finding("GS105", name, fact)


def _past_verbs(words: list[str], glossary: Glossary) -> list[int]:
    """Where the words are that say it has happened."""
    sure = [at for at, word in enumerate(words) if is_past(word) or word in glossary.past_tense]
    ordered = words[0] in COMMANDS
    if ordered and not any(_ends_a_clause(words, at) for at in sure):
        return []  # CloseExpiredAccounts: an order about things that are past
    if sure or ordered:
        return sure
    last = len(words) - 1
    return [at for at in range(1, len(words)) if may_be_past(words[at], last=at == last)]


def _ends_a_clause(words: list[str], at: int) -> bool:
    if at == len(words) - 1:
        return True
    after = words[at + 1]
    return after in FUNCTION_WORDS or after.endswith("ly")


def _tense(words: list[str], verbs: list[int]) -> str | None:
    """How the name fails to be a fact, or None when it is one."""
    if verbs:
        return None
    if words[0] in COMMANDS:
        return "is an order, not a fact"
    progress = next((word for word in words if word.endswith("ing")), None)
    if progress is not None:
        return f"has no verb in the past, only {_shown(progress)}, which may still go on"
    return "has no verb in the past"


def _subject(words: list[str], verbs: list[int]) -> str | None:
    """How the name leaves out who or what it is about, or None when it does not."""
    if verbs != [0]:
        return None
    if not any(_is_subject(word) for word in words[1:]):
        return "has a verb and nothing else"
    if words[1] in FUNCTION_WORDS:
        return None
    return "begins with its verb, so it may as well be a kind of thing"


def _is_subject(word: str) -> bool:
    return bool(word) and word not in FUNCTION_WORDS and not word.endswith("ly")


def _finding(code: str, name: str, fact: str) -> Finding:
    rule = RULES[code]
    return Finding(code, name, fact, rule.why, rule.question, rule.level)


def _shown(text: str) -> str:
    """Quoted for a message: printable and of bounded length."""
    quoted = ascii(text) if not text.isprintable() else repr(text)
    return quoted if len(quoted) <= SHOWN_CHARACTERS_MAX else f"{quoted[:SHOWN_CHARACTERS_MAX]}..."

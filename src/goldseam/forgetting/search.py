"""Search bytes for thousands of needles at once, at a speed that does not depend on how many.

Wherever a needle stands, some machine words of it are aligned. So the words of a chunk are
intersected with the words of all needles, which one C loop does, and only needles with a word in
the chunk are looked for.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

CHUNK_BYTES = 4 * 1024 * 1024
"""Read at once; memory is a few times this, whatever the size of the file."""

NEEDLE_BYTES_MIN = 6
"""Shorter ones are found everywhere by chance."""


class _Size(NamedTuple):
    """A word size and the letter that memoryview knows it by."""

    bytes: int
    letter: Literal["Q", "I"]

    @property
    def window(self) -> int:
        """A needle of so many bytes has an aligned word wherever it stands."""
        return 2 * self.bytes - 1


_SIZES = (_Size(8, "Q"), _Size(4, "I"))


class Needles:
    """What is searched for; its ``repr`` shows none of it.

    Args:
        needles: byte strings; those shorter than 6 bytes are left out.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        wanted = sorted({one for one in needles if len(one) >= NEEDLE_BYTES_MIN})
        self.count = len(wanted)
        self.longest = max(map(len, wanted), default=0)
        self._short = [one for one in wanted if len(one) < _SIZES[-1].window]
        self._by_word: dict[_Size, dict[int, list[bytes]]] = {}
        rest = wanted[:]
        for size in _SIZES:
            fitting = [one for one in rest if len(one) >= size.window]
            rest = [one for one in rest if len(one) < size.window]
            if fitting:
                self._by_word[size] = _indexed(fitting, size)

    def __repr__(self) -> str:
        return f"Needles({self.count})"

    def found_in(self, data: bytes) -> set[bytes]:
        """Those that are somewhere in ``data``."""
        found = {one for one in self._short if one in data}
        if not self._by_word:
            return found
        padded = data + bytes(-len(data) % _SIZES[0].bytes)
        for size, by_word in self._by_word.items():
            words = memoryview(padded).cast(size.letter)
            candidates = {n for word in by_word.keys() & words for n in by_word[word]}
            found.update(one for one in candidates if one in data)
        return found

    def found_in_chunks(
        self, read: Callable[[int], bytes], chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[tuple[int, set[bytes]]]:
        """Read to the end; for each chunk its size and what is in it or across its beginning."""
        before = b""
        while chunk := read(chunk_bytes):
            data = before + chunk
            yield len(chunk), self.found_in(data)
            before = data[-(self.longest - 1) :] if self.longest > 1 else b""


def _indexed(needles: list[bytes], size: _Size) -> dict[int, list[bytes]]:
    """For each needle the words of the window that it shares least with the others."""
    counts: Counter[bytes] = Counter()
    for one in needles:
        counts.update(_words(one, size.bytes))
    index: dict[int, list[bytes]] = {}
    for one in needles:
        often = [counts[word] for word in _words(one, size.bytes)]
        starts = range(len(often) - size.bytes + 1)
        start = min(starts, key=lambda n: (max(often[n : n + size.bytes]), n))
        for n in range(start, start + size.bytes):
            word = int.from_bytes(one[n : n + size.bytes], sys.byteorder)
            index.setdefault(word, []).append(one)
    return index


def _words(one: bytes, size: int) -> list[bytes]:
    return [one[n : n + size] for n in range(len(one) - size + 1)]

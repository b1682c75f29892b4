"""Keys stay in memory for three seconds and no longer, and only so many."""

from __future__ import annotations

from goldseam.privacy.envelope import SubjectKey
from goldseam.privacy.key_cache import KEY_CACHE_SECONDS, Held, KeyCache
from tests.privacy.keyring import HandClock

ONE = Held(1, SubjectKey(1, bytes(32)))


def test_a_key_is_held_until_its_time_is_over() -> None:
    """Just before it is there, at the bound it is not."""
    clock = HandClock()
    cache = KeyCache(clock)
    cache.keep("", "a", ONE, cache.now())
    clock.seconds += KEY_CACHE_SECONDS - 0.001
    assert ONE is cache.get("", "a", cache.now())
    clock.seconds += 0.001
    assert cache.get("", "a", cache.now()) is None


def test_the_time_counts_from_the_question_not_from_the_answer() -> None:
    """A slow key store must not lengthen the bound."""
    clock = HandClock()
    cache = KeyCache(clock)
    asked = cache.now()
    clock.seconds += 2.0
    cache.keep("", "a", ONE, asked)
    clock.seconds += 1.0
    assert cache.get("", "a", cache.now()) is None


def test_the_oldest_goes_when_there_are_too_many() -> None:
    """The number of keys in memory is bounded."""
    cache = KeyCache(HandClock(), entries_max=2)
    for name in "abac":
        cache.keep("", name, ONE, cache.now())
    assert 2 == len(cache)
    assert cache.get("", "b", cache.now()) is None
    assert ONE is cache.get("", "a", cache.now())


def test_what_nobody_asks_for_leaves_memory_at_the_next_sweep() -> None:
    """An old key is not only not used: it is gone."""
    clock = HandClock()
    cache = KeyCache(clock)
    cache.keep("", "a", ONE, cache.now())
    clock.seconds += 2.0
    cache.keep("", "b", ONE, cache.now())
    clock.seconds += 1.0
    cache.sweep()
    assert 1 == len(cache)


def test_tenants_do_not_share_keys() -> None:
    """The same name in two tenants is two subjects."""
    cache = KeyCache(HandClock())
    cache.keep("x", "a", ONE, cache.now())
    assert cache.get("y", "a", cache.now()) is None

"""The search for many needles: it finds what is there, wherever it stands, and nothing else."""

from __future__ import annotations

import io
from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from goldseam.forgetting.needles import all_forms, forms_of_text
from goldseam.forgetting.places import WAL_PAGE_BYTES, ways_to_read
from goldseam.forgetting.search import NEEDLE_BYTES_MIN, Needles

needle = st.binary(min_size=NEEDLE_BYTES_MIN, max_size=40)


@given(st.lists(needle, min_size=1, max_size=20), st.data())
def test_it_finds_what_plain_search_finds(needles: list[bytes], data: st.DataObject) -> None:
    """In any mixture of needles, parts of needles and other bytes."""
    piece = st.one_of(st.sampled_from(needles), st.binary(max_size=30), st.just(needles[0][:-1]))
    text = b"".join(data.draw(st.lists(piece, max_size=12)))
    assert {one for one in needles if one in text} == Needles(needles).found_in(text)


@given(needle, st.integers(0, 60), st.integers(1, 50))
def test_it_finds_across_the_borders_of_chunks(one: bytes, before: int, chunk: int) -> None:
    """However small the chunks are."""
    file = io.BytesIO(bytes([255]) * before + one + b"\0" * 9)
    found: set[bytes] = set()
    for _, some in Needles([one]).found_in_chunks(file.read, chunk):
        found |= some
    assert one in found


def test_many_needles_that_look_alike_are_told_apart() -> None:
    """Of a thousand that differ in one digit the one that is there."""
    needles = [f"marker-{n:04}@example.org".encode() for n in range(1_000)]
    text = b"x" * 5 + b"marker- @example.org" * 100 + needles[477] + b"@example.org"
    assert {needles[477]} == Needles(needles).found_in(text)


@given(st.text(min_size=6, max_size=20), st.binary(max_size=5), st.binary(max_size=5))
def test_a_value_is_found_in_every_form(value: str, before: bytes, behind: bytes) -> None:
    """Inside base64 of something longer at any place, in hex, in UTF-16, escaped."""
    needles = Needles(all_forms([value]))
    plain = value.encode("utf-8", "surrogatepass")
    for text in (
        plain,
        plain.hex().encode(),
        b64encode(before + plain + behind),
        value.encode("utf-16-le", "surrogatepass"),
        ascii(value)[1:-1].encode() if "'" not in value and '"' not in value else plain,
    ):
        assert needles.found_in(text), text


def test_json_forms_of_what_is_not_ascii() -> None:
    r"""As ``\u00e9`` and as surrogates, which other programs write."""
    forms = set(forms_of_text('Zo\u00eb "\U0001f600"'))
    assert b'Zo\\u00eb \\"\\ud83d\\ude00\\"' in forms


def test_a_value_across_two_pages_of_a_wal_file_is_found(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A header of 24 bytes cuts it; read as it is, it would be missed."""
    one = b"a key of thirty-two random bytes"
    folder = tmp_path / "pg_wal"
    folder.mkdir()
    path = folder / "000000010000000000000001"
    first = bytes(WAL_PAGE_BYTES - 10) + one[:10]
    path.write_bytes(first + b"H" * 24 + one[10:] + bytes(500))
    with path.open("rb") as file:
        found = [
            {n for _, some in Needles([one]).found_in_chunks(read) for n in some}
            for read in ways_to_read(path, file)
        ]
    assert [set(), {one}] == found


def test_what_it_searches_for_is_not_shown() -> None:
    """Needles are personal data and keys."""
    assert "Needles(1)" == repr(Needles([b"Ann Marker"]))

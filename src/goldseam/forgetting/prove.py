"""Prove that nothing is left of somebody: by their values, wherever goldseam keeps bytes.

A search that cannot find anything proves nothing: the same search must find a sealed value's
mark in the log, or it has failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from goldseam.database.connection import Database
from goldseam.database.statements import statements
from goldseam.events.personal import SEAL
from goldseam.forgetting.needles import all_forms
from goldseam.forgetting.places import (
    SEPARATOR,
    files_below,
    files_of,
    rows_of,
    tables_of,
    ways_to_read,
)
from goldseam.forgetting.progress import PACKAGE, Progress
from goldseam.forgetting.sealed import sealed_keys
from goldseam.forgetting.search import NEEDLE_BYTES_MIN, Needles
from goldseam.privacy.providers.provider import Epoch, KeyProvider
from goldseam.privacy.vault import Vault
from goldseam.store.event_store import EventStore
from goldseam.store.verify import verify


class Searched(NamedTuple):
    """One place: a file or a table, its size, and how many different needles are in it."""

    kind: str
    name: str
    bytes: int
    rows: int
    found: int


class Checked(NamedTuple):
    """One check: its name, whether it is well, and what was seen."""

    name: str
    good: bool
    what: str


class Findings(NamedTuple):
    """What a proof has found; ``subjects`` are for the certificate's digests only."""

    store: str
    tenant: str
    subjects: tuple[str, ...]
    begun_us: int
    ended_us: int
    values: int
    keys: int
    forms: int
    places: list[Searched]
    checks: list[Checked]
    not_seen: list[str]

    @property
    def clean(self) -> bool:
        """Whether nothing was found and every check is well."""
        return not any(one.found for one in self.places) and all(one.good for one in self.checks)


class Prover:
    """Searches one tenant's store, its read models and its key store.

    Args:
        store: opened with the vault or without.
        key_database: the key store's database.
        provider: where the epoch keys are, or were.
        read_models: the databases of read models, where they are not the store's own.
        data_directory: PostgreSQL's, where the server does not say it.
    """

    def __init__(
        self,
        store: EventStore,
        vault: Vault,
        key_database: Database,
        provider: KeyProvider,
        *,
        read_models: Iterable[Database] = (),
        data_directory: Path | None = None,
    ) -> None:
        self._store, self._vault, self._provider = store, vault, provider
        self._key_database, self._data_directory = key_database, data_directory
        databases = [store.database, *read_models, key_database]
        self._databases = list({id(one): one for one in databases}.values())

    async def prove(
        self,
        subjects: Sequence[str],
        values: Sequence[str],
        *,
        keys: Sequence[bytes] = (),
        also: Sequence[Path] = (),
    ) -> Findings:
        """Search everything for ``values`` and ``keys``; check that the subjects' keys are gone.

        Args:
            values: what was clear once; see :meth:`goldseam.forgetting.export.Exporter.values`.
            keys: raw keys that were destroyed, for whoever still knows them.
            also: more files and folders, such as a restored backup.
        """
        clock = self._store.clock
        begun, not_seen = clock.now_us(), list[str]()
        checks = [
            await self._unreadable(frozenset(subjects)),
            await self._erased(subjects),
            await self._keys_gone(subjects),
            await self._epochs_gone(),
            await self._chain(),
        ]
        search = _Search(all_forms(values, keys))
        places: list[Searched] = []
        short = sum(len(one.encode()) < NEEDLE_BYTES_MIN for one in values)
        if short:
            what = f"{short} values of less than {NEEDLE_BYTES_MIN} bytes: they are everywhere"
            not_seen.append(what)
        if search.forms:
            places = await self._places(search, also, not_seen)
            checks.append(search.control(self._sealed))
        else:
            not_seen.append("no clear values were given: files and rows were not searched")
        return Findings(
            str(self._store.store_id), self._store.tenant, tuple(subjects), begun, clock.now_us(),
            len(values) - short, len(keys), search.forms, places, checks, not_seen,
        )  # fmt: skip

    async def _places(
        self, search: _Search, also: Sequence[Path], not_seen: list[str]
    ) -> list[Searched]:
        places, paths = [], dict[Path, None]()
        for database in self._databases:
            files = await files_of(database, self._data_directory)
            paths |= dict.fromkeys(path.resolve() for path in files.paths)
            if files.missing:
                not_seen.append(files.missing)
            places += [await search.table(database, table) for table in await tables_of(database)]
        places += [await asyncio.to_thread(search.file, "file", path) for path in paths]
        for given in also:
            if not given.exists():
                not_seen.append("a file or folder that was named is not there")
            for path in files_below(given):
                places.append(await asyncio.to_thread(search.file, "also", path))
        return places

    async def _erased(self, subjects: Sequence[str]) -> Checked:
        tenant, open_ = self._store.tenant, 0
        progress = Progress(self._store.database, self._vault, tenant, self._store.clock)
        await progress.prepare()
        for subject in subjects:
            known = await self._vault.subject(tenant, subject)
            if known is None or known.state == "active" or known.steps != "done":
                open_ += 1
            else:
                (erasure,) = await progress.of([(subject, known.forgotten_us)])
                open_ += erasure.open
        what = f"{len(subjects) - open_} of {len(subjects)} erasures are complete"
        return Checked("erasure", not open_, what)

    async def _keys_gone(self, subjects: Sequence[str]) -> Checked:
        sql = statements(PACKAGE, self._key_database.dialect)["key_rows"]
        rows = 0
        for subject in subjects:
            known = await self._vault.subject(self._store.tenant, subject)
            where = {"tenant": self._store.tenant, "subject": subject}
            found = int((await self._key_database.fetch(sql, where))[0][0])
            rows += max(0, found - (known is not None and known.state == "readmitted"))
        return Checked("key rows", not rows, f"{rows} keys of these subjects in the key store")

    async def _epochs_gone(self) -> Checked:
        sql = statements(PACKAGE, self._key_database.dialect)["epochs"]
        there = destroyed = retiring = 0
        for id_, state, material in await self._key_database.fetch(sql):
            retiring += state == "retiring"
            if state == "destroyed":
                destroyed += 1
                there += await self._provider.exists(Epoch(str(id_), str(material)))
        # Whoever never had a key has none that an epoch could still open.
        good = not there and not retiring and (destroyed > 0 or not self._sealed)
        what = f"{destroyed} epoch keys destroyed, {there} of them still there, {retiring} retiring"
        return Checked("epoch keys", good, what)

    async def _unreadable(self, subjects: frozenset[str]) -> Checked:
        self._sealed = readable = 0
        async for found in sealed_keys(self._store, subjects):
            self._sealed += len(found)
            known = await self._vault.opening_keys(self._store.tenant, set(found))
            readable += sum(known[one] is not None for one in found)
        what = f"{self._sealed} sealed values in the log, {readable} of them readable"
        return Checked("sealed values", not readable, what)

    async def _chain(self) -> Checked:
        events = damages = 0
        async for progress in verify(self._store.database):
            events = progress.events
            damages += len(progress.damages)
        return Checked("hash chains", not damages, f"{events} events, {damages} damages")


class _Search:
    """The needles, and whether the mark of a sealed value was ever seen."""

    def __init__(self, forms: Iterable[bytes]) -> None:
        self._needles = Needles([*forms, SEAL])
        self.forms = self._needles.count - 1
        self._marks = 0

    def control(self, sealed: int) -> Checked:
        """Whether the search sees what is known to be there."""
        what = f"the mark of a sealed value was seen in {self._marks} places"
        return Checked("search sees", self._marks > 0 or not sealed, what)

    def file(self, kind: str, path: Path) -> Searched:
        """One file, as it is on the disk now."""
        size, found = 0, set[bytes]()
        try:
            with path.open("rb") as file:
                for read in ways_to_read(path, file):
                    for _, some in self._needles.found_in_chunks(read):
                        found |= some
                size = file.tell()
        except FileNotFoundError:  # the database has removed it meanwhile
            return Searched(kind, path.name, 0, 0, 0)
        return Searched(kind, path.name, size, 0, self._counted(found))

    async def table(self, database: Database, table: str) -> Searched:
        """One table, row by row, as SQL shows it."""
        size, rows, found = 0, 0, set[bytes]()
        async for page in rows_of(database, table):
            data = SEPARATOR.join(page)
            size, rows = size + len(data), rows + len(page)
            found |= await asyncio.to_thread(self._needles.found_in, data)
        return Searched("table", table, size, rows, self._counted(found))

    def _counted(self, found: set[bytes]) -> int:
        self._marks += SEAL in found
        return len(found - {SEAL})

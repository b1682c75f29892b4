"""Both kinds of sagas under one roof: orchestrated ones and choreographed flows look alike."""

from __future__ import annotations

from collections.abc import Sequence

from goldseam.errors import InvalidInput
from goldseam.sagas import diagram
from goldseam.sagas.desk import SEPARATOR, Sagas
from goldseam.sagas.errors import UnknownSaga
from goldseam.sagas.flows import FlowList, FlowStory
from goldseam.sagas.listing import LIST_MAX, STATUSES, TIME_MAX_US, SagaList, SagaRow, SagaStory

ALL_STATUSES = (*STATUSES, "overdue")


class SagaBoard:
    """What an application has of sagas, to be looked at.

    Args:
        desk, listing: of the orchestrated ones; None where there are none.
        flows: one for each choreography.
    """

    def __init__(
        self, desk: Sagas | None, listing: SagaList | None, flows: Sequence[FlowList]
    ) -> None:
        self._desk, self._listing = desk, listing
        self._flows = {one.choreography.name: one for one in flows}

    async def find(
        self,
        *,
        status: str = "",
        definition: str = "",
        limit: int = 100,
        before_us: int = TIME_MAX_US,
    ) -> list[SagaRow]:
        """Sagas and flows by their last change, the newest first.

        Raises:
            InvalidInput: an unknown status, or a limit that is not 1 to 1,000.
        """
        if status and status not in ALL_STATUSES:
            words = ", ".join(ALL_STATUSES)
            raise InvalidInput(f"no saga is {status!r}; a status is one of {words}")
        if not 1 <= limit <= LIST_MAX:
            raise InvalidInput(f"limit {limit} is not 1 to {LIST_MAX}")
        found: list[SagaRow] = []
        if self._listing is not None and status != "overdue":
            found += await self._listing.find(
                status=status, definition=definition, limit=limit, before_us=before_us
            )
        for name, flow in self._flows.items():
            if definition in ("", name):
                found += await flow.find(status=status, limit=limit, before_us=before_us)
        found.sort(key=lambda one: (-one.updated_us, one.saga))
        return found[:limit]

    async def counts(self) -> list[tuple[str, int, str, int]]:
        """How many there are, by definition, version and status."""
        found = [] if self._listing is None else await self._listing.counts()
        for flow in self._flows.values():
            found += await flow.counts()
        return found

    async def overdue(self) -> list[SagaRow]:
        """Choreographed flows that never ended."""
        return [row for flow in self._flows.values() for row in await flow.overdue()]

    async def show(self, saga: str) -> SagaStory | FlowStory:
        """One of them, whole.

        Raises:
            UnknownSaga: there is none of this id.
        """
        name, _, rest = saga.partition(SEPARATOR)
        if name in self._flows:
            return await self._flows[name].show(rest)
        if self._listing is None:
            raise UnknownSaga(saga)
        return await self._listing.show(saga)

    async def diagram(self, what: str, *, as_svg: bool = False) -> str:
        """A definition by its name, or one saga by its id with what it has done, as a picture.

        Raises:
            UnknownSaga: there is neither.
            UnknownDefinition: this program does not have the version that the saga runs on.
        """
        name, _, rest = what.partition(SEPARATOR)
        flow = self._flows.get(name)
        if flow is not None:
            seen: frozenset[str] = frozenset()
            if rest:
                seen = flow.classes((await flow.show(rest)).events)
            draw_flow = diagram.svg_of_flow if as_svg else diagram.mermaid_of_flow
            return draw_flow(flow.choreography, seen)
        if self._desk is None or name not in self._desk.definitions:
            raise UnknownSaga(what)
        draw = diagram.svg if as_svg else diagram.mermaid
        if not rest:
            return draw(self._desk.newest(name))
        instance = await self._desk.load(what)
        return draw(instance.saga, diagram.looks_of(instance.saga, instance.state))

    @property
    def definitions(self) -> list[tuple[str, int, str]]:
        """Name, version and kind of everything that is declared."""
        own = {} if self._desk is None else self._desk.definitions
        found = [(n, v, "orchestrated") for n, versions in own.items() for v in sorted(versions)]
        return found + [(name, 1, "choreographed") for name in self._flows]

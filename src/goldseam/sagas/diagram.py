"""A saga as a picture: Mermaid text, and SVG that needs no other program.

The steps stand above, in order; below each is what undoes it, and the way back goes from right
to left, as in the guide's state machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any, Literal

import msgspec

from goldseam.sagas.choreography import Choreography
from goldseam.sagas.saga import Saga
from goldseam.sagas.state import SagaState

Look = Literal["", "done", "now", "undone", "parked"]

_WIDTH_MIN, _LETTER, _HEIGHT, _GAP, _MARGIN = 150, 8, 44, 40, 20
_ROW = 110
_FILLS: dict[str, str] = {
    "": "#ffffff",
    "done": "#d7f0dc",
    "now": "#ffe9b3",
    "undone": "#e3e3ea",
    "parked": "#f6c6c6",
}


class Looks(msgspec.Struct, frozen=True):
    """How each step and each compensation looks for one saga; empty for the definition alone."""

    steps: dict[str, Look] = {}
    undo: dict[str, Look] = {}
    ended: str = ""


def looks_of(saga: Saga[Any], state: SagaState) -> Looks:
    """What a saga has done, what it is at, what it has undone."""
    current = state.doing(saga)
    steps: dict[str, Look] = {}
    for index, name in enumerate(saga.step_names):
        if index < state.step:
            steps[name] = "done"
        elif name == current and state.status == "running":
            steps[name] = "now"
    undo: dict[str, Look] = {}
    if state.status in ("compensating", "parked", "compensated"):
        left = set(state.undo)
        for name in saga.step_names[: state.step + 1]:
            if saga.steps[name].undo is not None and name in steps and name not in left:
                undo[name] = "undone"
        if current is not None:
            undo[current] = "parked" if state.status == "parked" else "now"
    return Looks(steps, undo, state.status if state.status.startswith("comp") else "")


def mermaid(saga: Saga[Any], looks: Looks | None = None) -> str:
    """The saga as Mermaid text, which GitHub and many others draw."""
    looks = looks or Looks()
    lines = ["flowchart LR", "  start([start])"]
    before = "start"
    for name in saga.step_names:
        lines.append(f'  {name}["{name}"]')
        lines.append(f"  {before} --> {name}")
        before = name
    lines += [f"  {before} --> completed([completed])", "  compensated([compensated])"]
    lines += _mermaid_way_back(saga)
    classes = {**looks.steps, **{f"undo_{name}": look for name, look in looks.undo.items()}}
    for node, look in classes.items():
        lines.append(f"  class {node} {look}")
    lines += [
        f"  classDef {look} fill:{fill}"
        for look, fill in _FILLS.items()
        if look in classes.values()
    ]
    return "\n".join(lines) + "\n"


def _mermaid_way_back(saga: Saga[Any]) -> list[str]:
    lines: list[str] = []
    undone = [name for name in saga.step_names if saga.steps[name].undo is not None]
    for name in undone:
        action = saga.steps[name].undo
        assert action is not None
        lines.append(f'  undo_{name}["{action.method.__name__}"]')
        lines.append(f"  {name} -. fails .-> undo_{name}")
    for later, earlier in zip(undone[:0:-1], undone[-2::-1], strict=True):
        lines.append(f"  undo_{later} --> undo_{earlier}")
    if undone:
        lines.append(f"  undo_{undone[0]} --> compensated")
    return lines


def mermaid_of_flow(choreography: Choreography, seen: frozenset[str] = frozenset()) -> str:
    """Who reacts to what, as Mermaid text; ``seen`` are the event classes of one flow."""
    lines = ["flowchart LR"]
    for kind in choreography.kinds:
        name = kind.__name__
        ends = kind in choreography.completes or kind in choreography.compensates
        lines.append(f"  {name}([{name}])" if ends else f'  {name}["{name}"]')
    for kind, answers in choreography.reactions.items():
        lines += [f"  {kind.__name__} --> {answer.__name__}" for answer in answers]
    marked = [k.__name__ for k in choreography.kinds if k.__name__ in seen]
    lines += [f"  class {name} done" for name in marked]
    if marked:
        lines.append(f"  classDef done fill:{_FILLS['done']}")
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------- SVG


class _Picture:
    """Boxes and arrows, collected; as wide as the longest of ``labels`` needs."""

    def __init__(self, labels: Iterable[str]) -> None:
        self.parts: list[str] = []
        longest = max((len(one) for one in labels), default=0)
        self.width = max(_WIDTH_MIN, longest * _LETTER + 16)

    def x(self, column: int) -> float:
        """The left side of a column."""
        return _MARGIN + column * (self.width + _GAP)

    def box(self, x: float, y: float, text: str, look: str = "", *, round_: bool = False) -> None:
        """A box with a text in the middle of it."""
        radius = _HEIGHT / 2 if round_ else 6
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{self.width}" height="{_HEIGHT}" rx="{radius:g}" '
            f'fill="{_FILLS[look]}" stroke="#444"/>'
        )
        middle_x, middle_y = x + self.width / 2, y + _HEIGHT / 2 + 4
        self.parts.append(
            f'<text x="{middle_x:g}" y="{middle_y:g}" text-anchor="middle">{escape(text)}</text>'
        )

    def arrow(self, x1: float, y1: float, x2: float, y2: float, *, dashed: bool = False) -> None:
        """From one point to another."""
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="#444"{dash} '
            'marker-end="url(#head)"/>'
        )

    def svg(self, columns: int, rows: int, title: str) -> str:
        """The whole document."""
        width = 2 * _MARGIN + columns * self.width + (columns - 1) * _GAP
        height = 2 * _MARGIN + (rows - 1) * _ROW + _HEIGHT
        head = (
            '<defs><marker id="head" markerWidth="8" markerHeight="8" refX="7" refY="4" '
            'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" role="img">'
            f"<title>{escape(title)}</title>{head}{''.join(self.parts)}</svg>\n"
        )


def _y(row: int) -> float:
    return _MARGIN + row * _ROW


def svg(saga: Saga[Any], looks: Looks | None = None) -> str:
    """The saga as SVG: steps above, compensations below."""
    looks = looks or Looks()
    undoing = [one.undo.method.__name__ for one in saga.steps.values() if one.undo is not None]
    picture, middle = _Picture([*saga.step_names, *undoing]), _HEIGHT / 2
    picture.box(picture.x(0), _y(0), "start", round_=True)
    last = len(saga.step_names) + 1
    for column, name in enumerate(saga.step_names, 1):
        picture.arrow(picture.x(column) - _GAP, _y(0) + middle, picture.x(column), _y(0) + middle)
        picture.box(picture.x(column), _y(0), name, looks.steps.get(name, ""))
    picture.arrow(picture.x(last) - _GAP, _y(0) + middle, picture.x(last), _y(0) + middle)
    ended = "done" if looks.ended == "completed" else ""
    picture.box(picture.x(last), _y(0), "completed", ended, round_=True)
    _svg_way_back(picture, saga, looks)
    return picture.svg(last + 1, 2, f"saga {saga.name}, version {saga.version}")


def _svg_way_back(picture: _Picture, saga: Saga[Any], looks: Looks) -> None:
    middle = _HEIGHT / 2
    ended = "undone" if looks.ended == "compensated" else ""
    picture.box(picture.x(0), _y(1), "compensated", ended, round_=True)
    left = picture.x(0) + picture.width
    for column, name in enumerate(saga.step_names, 1):
        action = saga.steps[name].undo
        if action is None:
            continue
        picture.arrow(
            picture.x(column) + picture.width / 2,
            _y(0) + _HEIGHT,
            picture.x(column) + picture.width / 2,
            _y(1),
            dashed=True,
        )
        picture.box(picture.x(column), _y(1), action.method.__name__, looks.undo.get(name, ""))
        picture.arrow(picture.x(column), _y(1) + middle, left, _y(1) + middle)
        left = picture.x(column) + picture.width


def svg_of_flow(choreography: Choreography, seen: frozenset[str] = frozenset()) -> str:
    """Who reacts to what, as SVG: columns by the distance from the first event."""
    places = _places(choreography)
    picture = _Picture(kind.__name__ for kind in places)
    for kind, answers in choreography.reactions.items():
        column, row = places[kind]
        for answer in answers:
            to_column, to_row = places[answer]
            picture.arrow(
                picture.x(column) + picture.width,
                _y(row) + _HEIGHT / 2,
                picture.x(to_column)
                if to_column > column
                else picture.x(to_column) + picture.width / 2,
                _y(to_row) + (_HEIGHT / 2 if to_column > column else _HEIGHT),
            )
    for kind, (column, row) in places.items():
        ends = kind in choreography.completes or kind in choreography.compensates
        look = "done" if kind.__name__ in seen else ""
        picture.box(picture.x(column), _y(row), kind.__name__, look, round_=ends)
    columns = max(column for column, _ in places.values()) + 1
    rows = max(row for _, row in places.values()) + 1
    return picture.svg(columns, rows, f"choreography {choreography.name}")


def _places(choreography: Choreography) -> dict[type, tuple[int, int]]:
    depth, ahead = {choreography.begins: 0}, [choreography.begins]
    while ahead:
        kind = ahead.pop(0)
        for answer in choreography.reactions.get(kind, ()):
            if answer not in depth:
                depth[answer] = depth[kind] + 1
                ahead.append(answer)
    places: dict[type, tuple[int, int]] = {}
    used: dict[int, int] = {}
    for kind, column in depth.items():
        places[kind] = column, used.get(column, 0)
        used[column] = used.get(column, 0) + 1
    return places

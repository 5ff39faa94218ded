"""The import contract of rooms: each lists what it may import, no more and no less.

import-linter's own layers let a room import everything below it; a list shows a reader what a
room is made of, and a reviewer when that changes.
"""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class Rooms(Contract):
    """Every child of a package imports just the siblings that its line names.

    Attributes:
        container: The package.
        rooms: A line for each child: ``room -> other, other``.
    """

    type_name = "rooms"
    container = fields.StringField()
    rooms = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Compare the lines with the graph."""
        said = _parsed(self.rooms)  # type: ignore[arg-type]
        found = _arrows(graph, str(self.container))
        wrong = [
            f"{room} {verb} {other}"
            for verb, more, less in (
                ("imports, and does not list,", found, said),
                ("lists, and does not import,", said, found),
            )
            for room in sorted(more)
            for other in sorted(more[room] - less.get(room, set()))
        ]
        wrong += [f"{room} is not listed" for room in sorted(found.keys() - said.keys())]
        wrong += [f"{room} is not there" for room in sorted(said.keys() - found.keys())]
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each difference."""
        for line in check.metadata["wrong"]:
            output.print_error(f"- {line}")


def _parsed(lines: list[str]) -> dict[str, set[str]]:
    parts = (line.partition("->") for line in lines)
    return {room.strip(): set(others.replace(",", " ").split()) for room, _, others in parts}


def _arrows(graph: ImportGraph, container: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for child in graph.find_children(container):
        room = child.removeprefix(f"{container}.")
        inside = {child, *graph.find_descendants(child)}
        imported = {
            name for each in inside for name in graph.find_modules_directly_imported_by(each)
        }
        siblings = {
            name.removeprefix(f"{container}.").partition(".")[0]
            for name in imported
            if name.startswith(f"{container}.")
        }
        found[room] = siblings - {room}
    return found

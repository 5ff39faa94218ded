"""Whole builds: contenders interleaved, each into a registry emptied just before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks import contenders as ways
from benchmarks.contenders import Contender
from benchmarks.data import Model
from benchmarks.lab import Lab
from benchmarks.measure import Failed, Usage

_AGAIN = {
    "unchanged": "tag",
    "unchanged, read back": "none",
    "only config.json changed": "tag",
}


def measure(lab: Lab, group: str, model: Model, field: Sequence[Contender]) -> None:
    """Run every contender once a round; one that fails is left out from then on.

    A round before the first does not count: a disk's blocks are slow when first written to.
    """
    out: set[str] = set()
    for number in range(lab.rounds + 1):
        for contender in field:
            if contender.name in out or (contender.once and number != 1):
                continue
            try:
                usage = _once(lab, model, contender)
            except Failed as error:
                print(f"{contender.name} cannot run here: {error}")
                out.add(contender.name)
                continue
            if number:
                lab.note(group, contender.name, usage)


def _once(lab: Lab, model: Model, contender: Contender) -> Usage:
    lab.clear()
    with lab.registry() as registry:
        usage = lab.run(contender.commands(lab, model, registry), registry)
    lab.clear()
    return usage


def shards(lab: Lab, model: Model) -> None:
    """Every contender, on four large shards."""
    field = [
        ways.one_core(),
        ways.bare_copy(),
        *(ways.stream(n) for n in (1, 2, 4)),
        *(ways.oci_modelcar(n) for n in (1, 2, 4)),
        ways.olot_skopeo(),
        ways.modelcar_maker(),
        ways.packed(),
        ways.usual(),
    ]
    measure(lab, "shards", model, field)


def files(lab: Lab, model: Model) -> None:
    """Many small files."""
    field = [ways.one_core(), ways.bare_copy(), ways.stream(2), ways.oci_modelcar(2),
             ways.olot_skopeo(), ways.usual()]  # fmt: skip
    measure(lab, "files", model, field)


def single(lab: Lab, model: Model) -> None:
    """One file that no number of streams divides."""
    field = [ways.bare_copy(), ways.stream(4), replace(ways.oci_modelcar(2), once=True)]
    measure(lab, "single", model, field)


def rebuild(lab: Lab, model: Model) -> None:
    """Build again: nothing changed, the tag believed or read back; then only ``config.json``."""
    lab.clear()
    with lab.registry() as registry:
        lab.run([ways.carferry_build(model, registry)], registry)
        for number in range(lab.rounds):
            for row, reuse in _AGAIN.items():
                if row.startswith("only"):
                    lab.hub.tell(change=model.repo, number=number)
                stored = sum(path.stat().st_size for path in registry.blobs().values())
                again = ways.carferry_build(model, registry, "--reuse", reuse)
                usage = lab.run([again], registry)
                now = sum(path.stat().st_size for path in registry.blobs().values())
                usage.notes["stored_bytes"] = now - stored
                lab.note("rebuild", row, usage)
    lab.clear()

"""Many workers, each on a slow link of its own: stream shares at once, then seal."""

from __future__ import annotations

from servers.registry import Registry

from benchmarks import contenders as ways
from benchmarks.data import Model
from benchmarks.lab import Lab
from benchmarks.measure import Usage

WORKERS = (1, 2, 4, 8)
# One connection's rate: slow enough that eight together leave two cores room to breathe.
_BYTES_PER_S = 8_000_000


def measure(lab: Lab, model: Model) -> None:
    """Time every number of workers; fewer than eight are bound by the rate, so once is enough."""
    lab.hub.tell(bytes_per_s=int(_BYTES_PER_S / lab.scale))
    for number in range(lab.rounds):
        for workers in WORKERS if number == 0 else WORKERS[-1:]:
            lab.clear()
            with lab.registry() as registry:
                lab.note("fanout", f"{workers} workers", _once(lab, model, registry, workers))
    lab.hub.tell(bytes_per_s=None)
    lab.clear()


def _once(lab: Lab, model: Model, registry: Registry, workers: int) -> Usage:
    words = ways.arguments(model, registry)
    options = ["--parallel", "1", "--progress", "none"]
    shares = [
        ways.carferry("stream", *words, "--worker", f"{n + 1}/{workers}", *options)
        for n in range(workers)
    ]
    usage = lab.run(shares, registry, at_once=True)
    sealed = lab.run([ways.carferry("seal", *words)], registry)
    usage.steps_s += sealed.steps_s
    usage.wall_s += sealed.wall_s
    usage.cpu_s += sealed.cpu_s
    return usage

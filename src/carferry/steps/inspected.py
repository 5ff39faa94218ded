"""What an inspection returns: what an image holds, and clause by clause whether it is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carferry.errors import ContractViolation
from carferry.image.compose import LAYER_PATH, LAYER_SOURCES
from carferry.image.inspection import Inspection
from carferry.image.provenance import COMMIT, SOURCE
from carferry.image.verify import Verified
from carferry.io.show.terminal import human_bytes
from carferry.oci.documents import Descriptor
from carferry.registry.target import Target
from carferry.steps.markdown import Column, page, table
from carferry.steps.results import Result, origin_line
from carferry.steps.whole import Examined

_ANSWERS = {True: "ok", False: "**broken**", None: "not looked at"}


@dataclass(frozen=True, slots=True)
class Inspected(Result):
    """An image checked against the contract.

    Attributes:
        reference: Its immutable reference.
        digest: Of the manifest or index.
        source: ``hf://org/name``; empty if the image does not say.
        commit: Of the model; empty likewise.
        size_bytes: All blobs together.
        layers: What each holds, its size in bytes and its digest, base first.
        files: Path and size in bytes of each file under ``/models``.
        rules: Clause, whether it holds, and the finding; None where the answer may lie in a
            layer that was not looked at, or no id says what the files should be.
        ok: Whether no clause is broken.
        kind: What it is if it is no image, as in ``a Helm chart (...)``; empty for an image.
        flaws: If its files were looked at and compared, a line for each that no server could
            load or that is not what it should be.
    """

    reference: str
    digest: str
    source: str
    commit: str
    size_bytes: int
    layers: tuple[tuple[str, int, str], ...]
    files: tuple[tuple[str, int], ...]
    rules: tuple[tuple[str, bool | None, str], ...]
    ok: bool
    kind: str = ""
    flaws: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, found: Inspection, target: Target, checks: Sequence[Verified | Examined] = ()
    ) -> Inspected:
        """Return what an inspection found as plain values, and what looking at the files did."""
        clauses = (*found.clauses, *(check.clause for check in checks))
        return cls(
            target.location(found.document.digest),
            str(found.document.digest),
            found.annotations.get(SOURCE, ""),
            found.annotations.get(COMMIT, ""),
            found.size_bytes,
            tuple((_holds(d), d.size_bytes, str(d.digest)) for d in found.layers),
            tuple((e.path, e.size_bytes) for e in found.models if e.kind == "file"),
            tuple((clause.name, clause.ok, clause.detail) for clause in clauses),
            all(clause.ok is not False for clause in clauses),
            found.kind,
            tuple(flaw for check in checks for flaw in check.flaws),
        )

    def require(self) -> Inspected:
        """Return itself if KServe's modelcar mode can serve the image.

        Raises:
            ContractViolation: Names every broken clause.
        """
        broken = [f"{name} ({detail})" for name, ok, detail in self.rules if ok is False]
        if broken:
            reason = "; ".join(broken)
            raise ContractViolation(
                "accept", self.reference, reason, "build it with carferry build, on a base"
            )
        return self

    @property
    def markdown(self) -> str:
        """Reference, contract, layers and files."""
        layers = [(held, human_bytes(size), digest[7:19]) for held, size, digest in self.layers]
        rules = [(name, _ANSWERS[ok], detail) for name, ok, detail in self.rules]
        files = [(path, human_bytes(size)) for path, size in self.files]
        facts = [
            *([self.kind] if self.kind else []),
            origin_line(self.source, self.commit),
            f"{human_bytes(self.size_bytes)} in {len(layers)} layers, {len(files)} files",
        ]
        is_layout = self.reference.startswith("oci:")
        return page(
            self.reference if is_layout else f"oci://{self.reference}",
            facts,
            table((Column("Contract"), Column("Result"), Column("Found")), rules),
            *([table((Column("Wrong"),), [(flaw,) for flaw in self.flaws])] if self.flaws else []),
            table((Column("Layer"), Column("Size", True), Column("Digest")), layers),
            table((Column("File"), Column("Size", True)), files),
        )


def _holds(layer: Descriptor) -> str:
    """Return what a layer says it holds: a file's path, several files, or what is not ours."""
    several = "several files" if LAYER_SOURCES in layer.annotations else "base"
    return layer.annotations.get(LAYER_PATH, several)

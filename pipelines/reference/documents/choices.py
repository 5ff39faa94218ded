"""What types do not say of the documents' fields: choices, patterns, fields that are no field."""

from __future__ import annotations

from collections.abc import Mapping

from carferry.endpoint.tasks import TASKS
from carferry.gpu.log.compare import Line
from carferry.gpu.search.overview import GpuFit
from carferry.gpu.sizing.estimate import Verdict
from carferry.lint.sizes import Sizes
from carferry.pipelines.reference.documents.shapes import FitDocument, TestDocument
from carferry.steps.results import Built, PlannedLayer
from carferry.warming.run import Pulled

_VERDICTS = tuple(each.value for each in Verdict)
CHOICES: Mapping[tuple[type, str], tuple[str, ...]] = {
    (PlannedLayer, "how"): ("reuse", "mount", "check", "move"),
    (GpuFit, "verdict"): _VERDICTS,
    (FitDocument, "verdict"): _VERDICTS,
    (Line, "unit"): ("GiB", "tokens", "x"),
    (Pulled, "state"): ("pulled", "there", "failed"),
    (TestDocument, "task"): tuple(task.name for task in TASKS),
}
"""Texts that are one of a few."""
PATTERNS: Mapping[str, str] = {
    "digest": "^[a-z0-9]+:[0-9a-f]{32,128}$",
    "Failure.kind": "^[A-Z][A-Za-z]*$",
    "Error.kind": "^[A-Z][A-Za-z]*$",
}
"""What a text looks like, by its name or that of its class too."""
SIGNED = {("Expect", "size_bytes"), ("Advance", "size_bytes")}
"""Whole numbers that may be below zero; all others are counts."""
MORE: Mapping[type, tuple[str, ...]] = {Built: ("changed",)}
"""Properties that stand in the document beside the fields."""
LEFT_OUT: Mapping[type, tuple[str, ...]] = {Sizes: ("rows",)}
"""Fields that do not stand there."""

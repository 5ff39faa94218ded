"""Check one file for several targets, and report each finding once.

A finding that several targets share is printed once with their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from carferry.lint.checks_fields import check_compiler, check_fields
from carferry.lint.checks_limits import check_sizes, check_upload
from carferry.lint.checks_steps import check_steps
from carferry.lint.checks_texts import check_credentials, check_texts
from carferry.lint.document import CompiledPipeline, read
from carferry.lint.rules import Finding
from carferry.lint.sizes import Sizes, measure
from carferry.lint.targets import WORKERS, Backend
from carferry.shown import one_line


@dataclass(frozen=True, slots=True)
class Checked:
    """One target's answer.

    Attributes:
        target: The release.
        sizes: What a run weighs there.
        findings: The rules broken, errors first.
    """

    target: Backend
    sizes: Sizes
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One file's answers.

    Attributes:
        name: The file as it was given.
        checked: One answer per target.
    """

    name: str
    checked: tuple[Checked, ...]

    @property
    def is_clean(self) -> bool:
        """Whether no rule is broken; warnings may be."""
        return not any(found.is_error for one in self.checked for found in one.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "file": self.name,
            "clean": self.is_clean,
            "targets": [
                {
                    "target": one.target.name,
                    "sizes": {k: v for k, v in asdict(one.sizes).items() if k != "rows"},
                    "findings": [asdict(found) for found in one.findings],
                }
                for one in self.checked
            ],
        }


def lint(path: str, targets: Iterable[Backend], workers: int = WORKERS) -> Report:
    """Check one file for targets.

    Args:
        path: The compiled pipeline.
        targets: The releases it is to run on.
        workers: Iterations of a loop over a list that only a run can know, at least 1.

    Raises:
        InputError: The file is no compiled pipeline.
    """
    document = read(path)
    common = (
        *check_steps(document),
        *check_texts(document),
        *check_credentials(document),
    )
    measured: dict[tuple[bool, ...], Sizes] = {}
    checked: list[Checked] = []
    for target in targets:
        if target.shape not in measured:
            measured[target.shape] = measure(document, target, workers)
        sizes = measured[target.shape]
        found = {*common, *_for_target(document, target), *check_sizes(sizes)}
        ordered = sorted(found, key=lambda one: (not one.is_error, one))
        checked.append(Checked(target, sizes, tuple(ordered)))
    return Report(path, tuple(checked))


def _for_target(document: CompiledPipeline, target: Backend) -> Iterator[Finding]:
    yield from check_upload(document, target)
    yield from check_fields(document, target)
    yield from check_compiler(document, target)


def lines(report: Report) -> Iterator[str]:
    """Yield a report for people: a table of sizes, then each finding once."""
    count = len(report.checked)
    yield f"{one_line(report.name)}: {'clean' if report.is_clean else 'broken'}"
    heads = f"{'unpacked':>11}{'packed':>11}{'env string':>12}{'argument':>10}"
    yield f"  {'target':<11}{heads}  findings"
    for one in report.checked:
        sizes = one.sizes
        errors = sum(found.is_error for found in one.findings)
        yield (
            f"  {one.target.name:<11}{sizes.unpacked_bytes:>11,}{sizes.packed_bytes:>11,}"
            f"{sizes.environment_bytes:>12,}{sizes.argument_bytes:>10,}"
            f"  {errors} errors, {len(one.findings) - errors} warnings"
        )
    shared: dict[Finding, list[str]] = {}
    for one in report.checked:
        for found in one.findings:
            shared.setdefault(found, []).append(one.target.name)
    for found, names in sorted(shared.items(), key=lambda item: (not item[0].is_error, item[0])):
        level = "error" if found.is_error else "warning"
        among = "" if len(names) == count else f" [{', '.join(names)}]"
        yield f"  {level} {found.rule}: {found.where}: {found.why}; {found.remedy}{among}"

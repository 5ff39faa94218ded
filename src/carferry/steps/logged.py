"""Step: how far the plan was off, from the log of vLLM's start; what that teaches is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from carferry.errors import InputError
from carferry.form.readers import read_model
from carferry.gpu.inventory.catalogue import Gpu, find
from carferry.gpu.inventory.nodes import named
from carferry.gpu.log.calibrate import calibration_of, why_not
from carferry.gpu.log.compare import Comparison, compare
from carferry.gpu.log.parse import parse_log
from carferry.gpu.log.started import StartLog
from carferry.gpu.memory.calibration import Calibration
from carferry.gpu.search.decide import understand
from carferry.gpu.sizing.estimate import Choice, Model, default_choice
from carferry.gpu.vllm.version import VllmVersion, find_version
from carferry.io.net.retry import Retry
from carferry.selection.patterns import Patterns
from carferry.source.pieces import Pieces
from carferry.steps.access import open_access, patience
from carferry.steps.calibrations import OFF, keep_calibration
from carferry.steps.compared import Compared
from carferry.steps.defaults import SERVED
from carferry.steps.fit import reach_cluster
from carferry.steps.fit_settings import FIT_DEFAULTS, FitKeywords, FitSettings
from carferry.steps.logs import Log, open_log
from carferry.steps.models import open_model
from carferry.steps.seen import see
from carferry.steps.served import is_image
from carferry.steps.signature import takes

_FIRST = 0, 8  # whose logs are read


@takes(FitKeywords, FIT_DEFAULTS)
def compare_log(
    model: str | Path,
    log: str | Path,
    *,
    calibration: str | Path = OFF[0],
    kubeconfig: str | Path | None = None,
    context: str = "",
    connect: Callable[[], Any] | None = None,
    retry: Retry | None = None,
    today: Callable[[], datetime] = lambda: datetime.now(UTC),
    **settings: Unpack[FitKeywords],
) -> Compared:
    """Predict a start of vLLM with the settings of its log, and compare term by term.

    Args:
        model: What it loaded, as for ``fit``.
        log: Of its start: a file, ``-`` for stdin, or ``pod/NAME``.
        calibration: File that keeps what the comparison teaches; ``none``: nothing is written.
        kubeconfig: As for ``fit``, for a pod's log.
        context: Of the kubeconfig; empty means the current one.
        connect: Reaches the cluster some other way.
        retry: How often what fails for the moment is tried again.
        today: Tells the date.
        **settings: The fields of ``carferry.FitSettings``, for what the log does not tell.

    Returns:
        The terms side by side, which is off and by how much, and what was kept.

    Raises:
        InputError: No log of a start of vLLM, or a GPU that nobody names.
        ClusterError: The pod or its log may not be read.
    """
    how, name, again = FitSettings(**settings), read_model(model), retry or patience()
    how.check()
    asked = how.vllm or SERVED
    how, said = how.versioned()
    reach = connect or partial(reach_cluster, kubeconfig, context, how.ca_file)
    opened = open_log(log, how.namespace, reach)
    started = parse_log(opened.lines, opened.name)
    known = _model(name, how, again)
    gpu, version = _gpu(started, opened, how), _version(started, how)
    found = compare(started, known, gpu, version, _given(known, gpu, version, how))
    said = () if started.version else said
    found = replace(found, notes=tuple(filter(None, (*found.notes, *said, version.note))))
    image = opened.image or (asked if is_image(asked) else f"vLLM {started.version or how.vllm}")
    lesson = _lesson(found, known, image, gpu, today().strftime("%Y-%m-%d"))
    return _compared(found, known, lesson, image, gpu, calibration, started.version or how.vllm)


def _model(name: str, how: FitSettings, retry: Retry) -> Model:
    access = replace(open_access(how.plain_http, how.ca_file), retry=retry)
    pieces = Pieces(open_model(name, how.revision, access))
    seen = see(pieces, Patterns.parse(how.include, how.exclude, how.allow_no_weights), retry)
    return understand(
        seen.config(), read_range=pieces.read, files=seen.sizes, headers=seen.headers,
        subject=seen.selection.files.repo or name, family=how.family,
        arguments=seen.selection.arguments,
    )  # fmt: skip


def _gpu(started: StartLog, opened: Log, how: FitSettings) -> Gpu:
    """Return what it ran on: as asked for, else as the node or the log has it."""
    if how.gpus:
        return named(how.gpus).groups[0].gpu
    names = [each for each in (opened.gpu, started.gpu) if each]
    if not names:
        reason = "the log names no GPU"
        raise InputError("compare", opened.name, reason, "name it: --gpu H100")
    return find(names[0], label_mib=int(started.total_gib * 1024) if started.total_gib else None)


def _version(started: StartLog, how: FitSettings) -> VllmVersion:
    """Return the log's version; as asked for if it is of a build that has none (0.1.dev1)."""
    numbered = re.match(r"(\d{1,4})\.(\d{1,4})\.\d", started.version)
    is_release = numbered is not None and (int(numbered[1]), int(numbered[2])) >= _FIRST
    return find_version(started.version if is_release else how.vllm)


def _given(model: Model, gpu: Gpu, version: VllmVersion, how: FitSettings) -> Choice:
    """Return the settings for what the log does not tell."""
    base = default_choice(model.shape, gpu, version)
    return replace(
        base,
        tp=how.gpu_count or base.tp,
        pp=how.nodes or base.pp,
        dtype=how.dtype if how.dtype not in ("", "auto") else base.dtype,
        kv_dtype=how.kv_cache_dtype or base.kv_dtype,
        max_model_len=how.max_model_len or base.max_model_len,
        max_num_seqs=how.max_num_seqs or base.max_num_seqs,
        utilization=how.gpu_memory_utilization or base.utilization,
        quantization=how.quantization or base.quantization,
    )


def _lesson(found: Comparison, model: Model, image: str, gpu: Gpu, date: str) -> Calibration | str:
    """Return what the comparison teaches, or why it teaches nothing."""
    if found.log.failure:
        return f"vLLM did not start: {found.log.failure}"
    if reason := why_not(found, model.shape.unknown):
        return reason
    return calibration_of(found, image=image, gpu=gpu.name, model=model.subject, date=date)


def _compared(
    found: Comparison,
    model: Model,
    lesson: Calibration | str,
    image: str,
    gpu: Gpu,
    file: str | Path,
    version: str,
) -> Compared:
    is_kept = isinstance(lesson, Calibration) and str(file) not in OFF
    if isinstance(lesson, Calibration) and is_kept:
        keep_calibration(file, lesson)
    off = "calibrations are off" if isinstance(lesson, Calibration) else lesson
    return Compared(
        model=model.subject,
        ran=_ran(found.best.choice, version),
        verdict=found.verdict,
        ok=bool(found.lines) and all(line.is_within for line in found.lines),
        lines=found.lines,
        image=image,
        gpu=gpu.name,
        kept=lesson.terms if isinstance(lesson, Calibration) and is_kept else "",
        file=str(file) if is_kept else "",
        not_kept="" if is_kept else off,
        notes=found.notes,
    )


def _ran(choice: Choice, version: str) -> str:
    parts: Sequence[str] = (
        f"vLLM {version}",
        f"{choice.tp * choice.pp} x {choice.gpu.name} of {choice.gpu.memory_gib:.2f} GiB",
        f"{choice.dtype}",
        f"max_model_len {choice.max_model_len}",
        f"max_num_seqs {choice.max_num_seqs}",
        f"max_num_batched_tokens {choice.max_num_batched_tokens}",
        f"utilization {choice.utilization:g}",
        *(["eager"] if choice.eager else []),
    )
    return ", ".join(parts)

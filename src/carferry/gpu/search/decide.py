"""Decide how a model runs, from the files of its repository to a plan, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carferry.errors import InputError, UnsupportedModel
from carferry.gpu.inventory.nodes import Inventory, named
from carferry.gpu.loaded.alike import alike
from carferry.gpu.loaded.measured import measured_sizes
from carferry.gpu.loaded.weights import check_tensors
from carferry.gpu.model.config import parse_config
from carferry.gpu.model.families import FORCED
from carferry.gpu.search.beside import Configured, mistral_config, with_beside
from carferry.gpu.search.plan import Goal, GpuPlan, plan
from carferry.gpu.search.unchecked import as_served
from carferry.gpu.sizing.estimate import Model
from carferry.weights.layout import Layout, read_layout
from carferry.weights.numbered import missing_shards
from carferry.weights.safetensors import Header, ReadRange, Tensor, read_tensors


def decide(
    config: Mapping[str, Any] | None,
    *,
    gpus: Inventory | str,
    read_range: ReadRange | None = None,
    files: Mapping[str, int] | None = None,
    headers: Mapping[str, Header] | None = None,
    goal: Goal | None = None,
    subject: str = "model",
    family: str = "",
    arguments: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    strict: bool = False,
) -> GpuPlan:
    """Decide how a model runs, from its config and the headers of its weights.

    Args:
        config: As for ``understand``, like all that is not named here.
        gpus: What the cluster has, or text such as ``L40S x2``.
        read_range: Likewise.
        files: Likewise.
        headers: Likewise.
        goal: What the user wants; the vLLM version is part of it.
        subject: Likewise.
        family: Likewise.
        arguments: Likewise.
        notes: Likewise.
        strict: Refuse what would be planned by its weights alone.

    Raises:
        UnsupportedModel: An unknown architecture or quantization, if ``strict``.
        InputError: A config or header that does not add up, or an unknown GPU.
        DoesNotFit: The inventory holds no GPU at all.
    """
    model = understand(
        config, read_range=read_range, files=files, headers=headers, subject=subject,
        family=family, arguments=arguments, notes=notes,
    )  # fmt: skip
    model = as_served(model, goal or Goal())
    if strict and model.shape.unknown:
        raise UnsupportedModel(
            "plan", subject, f"unknown {model.shape.unknown}",
            f"pass --family {FORCED} if it is a plain decoder, or leave on_unknown out",
        )  # fmt: skip
    inventory = named(gpus) if isinstance(gpus, str) else gpus
    return plan(model, inventory, goal)


def understand(
    config: Mapping[str, Any] | None,
    *,
    read_range: ReadRange | None = None,
    files: Mapping[str, int] | None = None,
    headers: Mapping[str, Header] | None = None,
    subject: str = "model",
    family: str = "",
    arguments: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Model:
    """Return what is planned for, from a model's config and the headers of its weights.

    Args:
        config: The parsed config.json; None if the model has none. In Mistral's own layout its
            params.json counts instead, which is among the files.
        read_range: Reads bytes [start, end) of a repository file; only headers are read.
        files: Repository paths to sizes in bytes. Without this or ``read_range`` the weights
            are counted from the config.
        headers: Of the files that have been read already.
        subject: What to call the model in errors and reports.
        family: ``gqa`` to plan an unknown architecture as a plain decoder.
        arguments: What vLLM must be told besides, to load the files as they are.
        notes: What a reader of the plan should know besides, a line each.

    Raises:
        UnsupportedModel: An unknown architecture or quantization.
        InputError: A config or header that does not add up.
    """
    held, read = (files, read_range) if files and read_range else ({}, _nothing)
    layout = read_layout(held, read)
    if layout.mistral:
        found = mistral_config(held, read)
    elif config is not None:
        found = Configured(config)
    else:
        raise InputError("plan", subject, "no config.json", "vLLM cannot serve it without one")
    if layout.files:
        found = with_beside(found, held, read)
    tensors = _tensors(layout, held, read, headers)
    shape = parse_config(
        found.config, subject=subject, family=family, file=found.file, packing=found.packing,
        measured=measured_sizes(tensors),
    )  # fmt: skip
    check_tensors(shape, tensors, subject)
    return Model(shape, alike(tensors), subject, arguments, notes)


def _tensors(
    layout: Layout,
    files: Mapping[str, int],
    read: ReadRange,
    headers: Mapping[str, Header] | None,
) -> tuple[Tensor, ...]:
    if layout.missing:
        reason = f"missing: {layout.index} names it"
        raise InputError("read weights", layout.missing[0], reason, "download it")
    if not layout.files:
        return ()
    for fault in missing_shards(layout.files if not layout.index else ()):
        raise fault
    return read_tensors({path: files[path] for path in layout.files}, read, headers)


def _nothing(path: str, start: int, end: int) -> bytes:
    return b""

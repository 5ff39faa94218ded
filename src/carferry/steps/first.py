"""Step: everything a run can be refused for, before a byte moves.

The settings, the model and its commit, the deployment's form, and whether it fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from carferry.errors import InputError
from carferry.retry import Retry
from carferry.serve.settings import VLLM_IMAGE
from carferry.source import Patterns, open_source, pinned
from carferry.steps.access import patience
from carferry.steps.fit import FitSettings, Lists
from carferry.steps.form import Settings, build_settings, texts
from carferry.steps.plan import plan
from carferry.steps.sizing import UNCHECKED, Sizing, size

_FOR_THE_PLAN = ("exclude", "family", "max_num_seqs", "namespace")
DEPLOY, RENDER, NO = "deploy", "render", "no"
# vLLM is not at 1 yet; a vendor's image counts versions of its own, from 1.
_VERSION = re.compile(r":v?(0\.\d+(?:\.\d+)?)(?:[.+-][A-Za-z0-9.+_-]*)?$")


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the model is to be served.

    Attributes:
        serve: ``deploy``, ``render`` the objects only, or ``no``.
        name: Of the InferenceService; empty: made.
        serving_image: vLLM image; its tag says the version to plan for.
        gpu: Such as ``L40S x2``; empty reads the cluster, ``none`` does not check.
        max_model_len: Tokens that must fit; 0 leaves it to the plan.
        vllm_args: More vLLM arguments.
    """

    serve: str = DEPLOY
    name: str = ""
    serving_image: str = VLLM_IMAGE
    gpu: str = ""
    max_model_len: int = 0
    vllm_args: str = ""

    @property
    def served(self) -> bool:
        """Whether a deployment follows, applied or as YAML.

        Raises:
            InputError: None of the three words.
        """
        if self.serve not in (DEPLOY, RENDER, NO):
            raise InputError("read serve", repr(self.serve), "write deploy, render or no")
        return self.serve != NO


@dataclass(frozen=True, slots=True)
class Found:
    """What later steps work with.

    Attributes:
        model: The model at one commit, as text.
        sizing: A deployment's settings by name; numbers are numbers.
    """

    model: str
    sizing: dict[str, Any]


def first(
    model: str,
    target: str,
    wishes: Wishes,
    settings: Settings,
    *,
    include: str = "",
    prove: bool = False,
    report: str = "",
    chart: str = "",
    connect: Callable[[], Lists] | None = None,
    retry: Retry | None = None,
) -> Found:
    """Check a run's every input and size its deployment.

    Args:
        model: ``org/name[@revision]`` or a folder.
        target: Where the image goes; empty: not said.
        wishes: How it is to be served.
        settings: The rest.
        include: File patterns, as for the build.
        prove: Open an upload at the target and look at the base, where no plan_model follows.
        report: File for the report as Markdown; empty for none.
        chart: File for the report as a page; empty for none.
        connect: Reaches the cluster where no GPU is named.
        retry: How often what fails for the moment is tried again.

    Raises:
        InputError: Something that another try would not change; also its leaves, such as
            SourceNotFound and DoesNotFit.
    """
    told, again = texts(settings), retry or patience()
    served = wishes.served
    build = build_settings(settings, include=include)
    build.check()
    source = open_source(model, retry=again)
    snapshot = source.listing(Patterns.parse(include, told.get("exclude", "")))
    exact = pinned(model, snapshot.commit)
    if prove:
        plan(exact, target, build, prove=True)
    checked = served and wishes.gpu != UNCHECKED
    how = FitSettings(
        gpu=wishes.gpu,
        include=include,
        image=target,
        vllm=vllm_version(wishes.serving_image, told.get("vllm", "")) if checked else "",
        **{name: told[name] for name in _FOR_THE_PLAN if name in told},
    )
    reports = {"report": report, "chart": chart}
    made = again.call(
        lambda: size(exact, how, _sizing(wishes, told), serve=served, connect=connect, **reports)
    )
    sizing = asdict(made)
    del sizing["verdict"]
    return Found(exact, sizing)


def vllm_version(image: str, told: str = "") -> str:
    """Return the version of vLLM in a serving image.

    Args:
        image: Its reference; upstream's release tags are vLLM's versions.
        told: What the user says; wins.

    Raises:
        InputError: Nobody says.
    """
    found = _VERSION.search(image.partition("@")[0])
    if told or found:
        return told or (found[1] if found else "")
    raise InputError(
        "plan for", image, "its tag is no vLLM version", 'say it: settings {"vllm": "0.24.0"}'
    )


def _sizing(wishes: Wishes, told: dict[str, str]) -> Sizing:
    count = told.get("gpu_count", "") or "0"
    if not count.isdecimal():
        raise InputError("read gpu_count", repr(count), "not a whole number")
    return Sizing(
        gpu_resource=told.get("gpu_resource", "") or Sizing().gpu_resource,
        gpu_count=int(count),
        tolerations=told.get("tolerations", ""),
        max_model_len=wishes.max_model_len,
        vllm_args=wishes.vllm_args,
    )

"""What a whole run was told, as the form gives it, and what of it cannot be meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from carferry.errors import InputError
from carferry.refs import ImageRef, LayoutRef, ModelRef, parse_image
from carferry.serve.settings import VLLM_IMAGE
from carferry.source.open import is_folder
from carferry.source.patterns import Patterns
from carferry.steps.fit import FitSettings
from carferry.steps.form import Settings, build_settings, deployment, texts
from carferry.steps.settings import BuildSettings
from carferry.steps.sizing import UNCHECKED, Sizing

DEPLOY, RENDER, NO = "deploy", "render", "no"
_FOR_THE_PLAN = ("exclude", "family", "max_num_seqs", "namespace")
# vLLM is not at 1 yet; a vendor's image counts versions of its own, from 1.
_VERSION = re.compile(r":v?(0\.\d+(?:\.\d+)?)(?:[.+-][A-Za-z0-9.+_-]*)?$")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a pipeline.

    Attributes:
        model: ``org/name[@revision]`` or a folder.
        target: Where the image goes; empty: not said.
        include: File patterns.
        serve: ``deploy``, ``render`` the objects only, or ``no``.
        name: Of the InferenceService; empty: made.
        serving_image: vLLM image; its tag says the version to plan for.
        gpu: Such as ``L40S x2``; empty reads the cluster, ``none`` does not check.
        max_model_len: Tokens that must fit; 0 leaves it to the plan.
        vllm_args: More vLLM arguments.
        prove: Open an upload at the target and look at the base, where no plan_model follows.
        builder: ``job`` where Buildah will run in a Job of the cluster.
        settings: The rest, by the names of ``carferry.steps.form``.
    """

    model: str
    target: str = ""
    include: str = ""
    serve: str = DEPLOY
    name: str = ""
    serving_image: str = VLLM_IMAGE
    gpu: str = ""
    max_model_len: int = 0
    vllm_args: str = ""
    prove: bool = False
    builder: str = ""
    settings: Settings = field(default_factory=dict)

    @property
    def told(self) -> Mapping[str, str]:
        """Settings as text."""
        return texts(self.settings)

    @property
    def is_served(self) -> bool:
        """Whether a deployment follows, applied or as YAML."""
        return self.serve != NO

    @property
    def has_auth(self) -> bool:
        """Whether the endpoint will ask for a token."""
        return self.told.get("auth", "").lower() == "true"

    @property
    def patterns(self) -> Patterns:
        """Which files enter the image."""
        return Patterns.parse(self.include, self.told.get("exclude", ""))

    @property
    def build(self) -> BuildSettings:
        """What every step of a build is told."""
        return build_settings(self.settings, include=self.include)

    @property
    def wishes(self) -> Sizing:
        """What the user pinned of the deployment's size.

        Raises:
            InputError: A count that is no number.
        """
        told, count = self.told, self.told.get("gpu_count", "") or "0"
        if not re.fullmatch("[0-9]{1,4}", count):
            raise InputError("read gpu_count", repr(count[:20]), "not a whole number")
        return Sizing(
            gpu_resource=told.get("gpu_resource", "") or Sizing().gpu_resource,
            gpu_count=int(count),
            tolerations=told.get("tolerations", ""),
            max_model_len=self.max_model_len,
            vllm_args=self.vllm_args,
        )

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: Names it.
        """
        if self.serve not in (DEPLOY, RENDER, NO):
            remedy = "write deploy, render or no"
            raise InputError("read serve", repr(self.serve), "no way to serve", remedy)
        if not is_folder(self.model):
            ModelRef.parse(self.model)
        if self.target:
            self._check_target()
        if self.max_model_len < 0:
            raise InputError("read max_model_len", self.max_model_len, "negative", "0: the plan's")
        self.build.check()
        _ = self.wishes

    def _check_target(self) -> None:
        ref = parse_image(self.target)
        if isinstance(ref, ImageRef) and (ref.digest or not ref.tag):
            reason = "a digest cannot be chosen" if ref.digest else "no tag"
            raise InputError("push to", self.target, reason, "write docker://host/repository:tag")
        if self.is_served and isinstance(ref, LayoutRef):
            reason, remedy = "a cluster pulls from a registry, not a folder", "or choose serve=no"
            raise InputError("serve", self.target, reason, f"write docker://..., {remedy}")

    def plan_settings(self) -> FitSettings:
        """Return what the GPU plan is told.

        Raises:
            InputError: Nobody says which vLLM to plan for.
        """
        told, planned = self.told, self.is_served and self.gpu != UNCHECKED
        image = self.serving_image or VLLM_IMAGE  # KFP's own form sends emptied fields
        version = vllm_version(image, told.get("vllm", "")) if planned else ""
        more = {name: told[name] for name in _FOR_THE_PLAN if name in told}
        return FitSettings(
            gpu=self.gpu, include=self.include, image=self.target, vllm=version, **more
        )

    def form(self, sizing: Mapping[str, Any]) -> dict[str, str]:
        """Return the deployment's form.

        Args:
            sizing: What the GPU plan decided; empty before it did.
        """
        wished = {"max_model_len": self.max_model_len, "vllm_args": self.vllm_args}
        fixed = {"name": self.name, "runtime_image": self.serving_image}
        return deployment(self.settings, {**wished, **sizing}, **fixed)


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

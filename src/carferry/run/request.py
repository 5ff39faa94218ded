"""A whole run of a pipeline, as its form gives it, and what of it cannot be meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from carferry.errors import InputError
from carferry.form.readers import read_arguments
from carferry.refs import LayoutRef, parse_image
from carferry.run.served import asked_of
from carferry.run.settings import (
    FIT,
    Settings,
    build_settings,
    deployment,
    entry,
    patterns,
    pick,
    question_of,
    wait_of,
)
from carferry.run.sizing import Sizing
from carferry.selection.patterns import Patterns
from carferry.serve.arguments import planned_by
from carferry.serve.form import DeploymentForm
from carferry.serve.settings import VLLM_IMAGE, Kind
from carferry.source.open import check_model, claim_of
from carferry.steps.fit_settings import FitKeywords, FitSettings
from carferry.steps.rights import DEPLOY, NO, SERVE, UNCHECKED
from carferry.steps.settings import BuildKeywords, BuildSettings, check_security

# vLLM is not at 1 yet; a vendor's image counts versions of its own, from 1.
_PLAN = tuple(
    each
    for each in FIT
    if each.name
    in ("family", "gpu_memory_utilization", "kv_cache_dtype", "max_num_seqs", "on_unknown")
)
_VERSION = re.compile(r":v?(0\.\d+(?:\.\d+)?)(?:[.+-][A-Za-z0-9.+_-]*)?$")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a pipeline.

    Attributes:
        model: ``org/name[@revision]`` or a folder.
        image: Where the image goes; empty if no image is made.
        include: File patterns, by comma or line.
        serve: ``deploy``, ``render`` the objects only, or ``no``.
        name: Of the InferenceService; empty: made.
        runtime_image: vLLM image; its tag or its labels say the version to plan for.
        gpus: Such as ``L40S x2``; empty reads the cluster, ``none`` does not check.
        max_model_len: Tokens that must fit; 0 leaves it to the plan.
        vllm_args: More vLLM arguments, quoted as in a shell.
        prove: Open an upload at the registry and look at the base, if no plan_model follows.
        builder: ``job`` if Buildah will run in a Job of the cluster.
        claim: The claim that the steps have mounted; empty if none.
        settings: The rest, by the names of ``carferry.run.settings``.
    """

    model: str
    image: str = ""
    include: str = ""
    serve: str = DEPLOY
    name: str = ""
    runtime_image: str = VLLM_IMAGE
    gpus: str = ""
    max_model_len: int = 0
    vllm_args: str = ""
    prove: bool = False
    builder: str = ""
    claim: str = ""
    settings: Settings = field(default_factory=dict)

    @property
    def is_served(self) -> bool:
        """Whether a deployment follows, applied or as YAML."""
        return self.serve != NO

    @property
    def may_end_at_once(self) -> bool:
        """Whether nothing is done for an image that is there."""
        return bool(self.image) and bool(entry(self.settings, "if_changed"))

    @property
    def has_auth(self) -> bool:
        """Whether the endpoint will ask for a token."""
        return self.is_served and bool(entry(self.settings, "auth"))

    @property
    def is_llm(self) -> bool:
        """Whether an LLMInferenceService will serve."""
        return self.is_served and entry(self.settings, "kind") == Kind.LLM

    @property
    def warms(self) -> bool:
        """Whether the image is pulled on the nodes before it is served."""
        return self.is_served and bool(entry(self.settings, "warm"))

    @property
    def patterns(self) -> Patterns:
        """Which files enter the image."""
        return Patterns.parse(**patterns(self.settings, self.include))

    @property
    def asked(self) -> str:
        """Id of what the deployment is asked to be; empty if none is made by this run."""
        if self.serve != DEPLOY:
            return ""
        plan = {"gpus": self.gpus, "max_model_len": self.max_model_len, "args": self.vllm_args}
        return asked_of({**plan, **pick(self.settings, FIT), **self.form({})})

    @property
    def build(self) -> BuildKeywords:
        """What every step of a build takes alike."""
        return build_settings(self.settings, include=self.include)

    @property
    def wishes(self) -> Sizing:
        """What the user pinned of the deployment's size.

        Raises:
            InputError: A count that is no number.
        """
        given = pick(self.settings, FIT)
        return Sizing(
            gpu_resource=given.get("gpu_resource", Sizing().gpu_resource),
            gpu_count=given.get("gpu_count", 0),
            nodes=given.get("nodes", 1),
            tolerations=given.get("tolerations"),
            max_model_len=self.max_model_len,
            vllm_args=read_arguments("vllm_args", self.vllm_args),
        )

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            InputError: Names it.
        """
        if self.serve not in SERVE:
            remedy = "write deploy, render or no"
            raise InputError("read serve", repr(self.serve), "no way to serve", remedy)
        check_model(self.model)
        self._check_claim()
        if self.image:
            self._check_image()
        if self.max_model_len < 0:
            raise InputError("read max_model_len", self.max_model_len, "negative", "0: the plan's")
        BuildSettings(**self.build).options()
        check_security(entry(self.settings, "builder_security") or "userns")
        if self.is_served:
            _ = self.wishes, wait_of(self.settings), question_of(self.settings)

    def check_plan(self) -> None:
        """Refuse what no GPU plan could be made for.

        Raises:
            InputError: An unknown GPU, or what is no version of vLLM.
        """
        if self.is_served and self.gpus != UNCHECKED:
            FitSettings(**self.plan_settings()).check()

    def _check_claim(self) -> None:
        named = claim_of(self.model)
        if named == self.claim:
            return
        if not self.claim:
            reason, remedy = "this pipeline mounts no claim", "use the pipeline modelcar-pvc"
        else:
            reason = f"this run mounts the claim {self.claim}"
            remedy = f"write model as pvc://{self.claim}/path"
        raise InputError("read", self.model, reason, remedy)

    def _check_image(self) -> None:
        ref = parse_image(self.image)
        if ref.digest or not ref.tag:
            reason = "a digest cannot be chosen" if ref.digest else "no tag"
            raise InputError("push to", self.image, reason, "write docker://host/repository:tag")
        if self.is_served and isinstance(ref, LayoutRef):
            reason, remedy = "a cluster pulls from a registry, not a folder", "or choose serve=no"
            raise InputError("serve", self.image, reason, f"write docker://..., {remedy}")

    def plan_settings(self) -> FitKeywords:
        """Return what the GPU plan is for."""
        given, planned = pick(self.settings, FIT), self.is_served and self.gpus != UNCHECKED
        image = self.runtime_image or VLLM_IMAGE  # KFP's own form sends emptied fields
        said: FitKeywords = {
            "gpus": self.gpus,
            "include": self.patterns.include,
            "exclude": self.patterns.exclude,
            "allow_no_weights": self.patterns.allow_no_weights,
            "image": self.image,
            "vllm": vllm_version(image, given.get("vllm", "")) if planned else "",
            "namespace": entry(self.settings, "namespace") or "",
            "plain_http": entry(self.settings, "plain_http") or (),
        }
        # What the pod will be told is planned for.
        more = {**planned_by(self.wishes.vllm_args), **pick(self.settings, _PLAN)}
        return cast(FitKeywords, more | said)

    def form(self, sizing: Mapping[str, Any]) -> DeploymentForm:
        """Return the deployment's form.

        Args:
            sizing: What the GPU plan decided; empty before it did.
        """
        wished = {"max_model_len": self.max_model_len, "vllm_args": self.vllm_args}
        return deployment(
            self.settings,
            {**wished, **sizing},
            name=self.name,
            runtime_image=self.runtime_image,
        )


def vllm_version(image: str, version: str = "") -> str:
    """Return what to plan for: a version of vLLM, or the serving image, which is then read.

    Args:
        image: Its reference; upstream's release tags are vLLM's versions.
        version: What the user says; wins.
    """
    found = _VERSION.search(image.partition("@")[0])
    return version or (found[1] if found else image)

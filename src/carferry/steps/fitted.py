"""Whether a model fits, with everything that follows from it: reports, arguments, settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from carferry.errors import DoesNotFit
from carferry.gpu.report import text, words
from carferry.gpu.search.notes import unchecked_note
from carferry.gpu.search.plan import GpuPlan
from carferry.gpu.search.unchecked import unknown_of
from carferry.gpu.vllm_args import VllmArgs
from carferry.steps.planned import line_of


@dataclass(frozen=True, slots=True, repr=False)
class Fit:
    """Whether and how a model runs on the GPUs there are.

    Attributes:
        plan: Everything that was weighed.
    """

    plan: GpuPlan

    @property
    def verdict(self) -> str:
        """``fits``, ``tight``, ``unchecked`` (only the weights are known) or ``no``."""
        return self.plan.verdict.value

    @property
    def ok(self) -> bool:
        """Whether it can be served as far as is known, tight or not."""
        return self.plan.is_fit

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        return words.headline(self.plan)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The arithmetic, in sentences; sizes in GiB."""
        return tuple(words.reasons(self.plan))

    @property
    def change(self) -> str:
        """The smallest change that makes it fit, in words."""
        return words.change(self.plan)

    @property
    def warning(self) -> str:
        """What the plan does not know of the model or the GPU; empty if it knows them."""
        model, chosen = self.plan.model, self.plan.chosen
        gpu = chosen.group.gpu if chosen else None
        return unchecked_note(model, gpu) if unknown_of(model, gpu) else ""

    @property
    def vllm_args(self) -> tuple[str, ...]:
        """Every argument that vLLM needs on the chosen GPUs; empty if nothing fits."""
        return self.plan.arguments

    @property
    def deployment(self) -> dict[str, Any]:
        """Keywords for ``carferry.deploy``: GPUs, tolerations, context and vLLM arguments.

        Raises:
            DoesNotFit: Nothing fits.
        """
        self.require()
        plan, args = self.plan, self.plan.vllm_args or VllmArgs()
        group = plan.chosen.group if plan.chosen else None
        # The deployment renders these itself, from the counts and the length it is given.
        length = args.max_model_len if isinstance(args.max_model_len, int) else 0
        more = replace(
            args,
            tensor_parallel_size=None,
            pipeline_parallel_size=None,
            max_model_len=None if length else args.max_model_len,
        )
        return {
            "gpus": plan.gpu_count,
            "nodes": plan.chosen.pp if plan.chosen else 1,
            "gpu_resource": plan.gpu_resource,
            "tolerations": (group.tolerations if group else ()) or None,
            "max_model_len": length,
            "vllm_args": more.render(),
            "gpu_plan": line_of(plan),
        }

    @property
    def text(self) -> str:
        """The report for a terminal."""
        return text.text(self.plan)

    @property
    def markdown(self) -> str:
        """The report as Markdown."""
        return text.markdown(self.plan)

    @property
    def html(self) -> str:
        """The report as a page of its own: ASCII, no script, nothing fetched."""
        from carferry.gpu.report import page

        return page.html(self.plan)

    def as_json(self) -> dict[str, object]:
        """Return the answer as plain values."""
        return {**text.summary(self.plan), "warning": self.warning}

    def require(self) -> Fit:
        """Return itself if the model fits.

        Raises:
            DoesNotFit: Names what is missing and the smallest change.
        """
        if not self.ok:
            raise DoesNotFit("fit", self.plan.model.subject, self.plan.binding, self.change)
        return self

    def __repr__(self) -> str:
        """Return the answer; the plan's own would fill a screen."""
        return f"<Fit: {self.headline}>"

    def _repr_html_(self) -> str:
        from carferry.gpu.report import page

        return page.fragment(self.plan)

    def _repr_markdown_(self) -> str:
        return self.markdown

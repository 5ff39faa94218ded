"""Step: everything a run can be refused for, before a byte moves.

The settings, the model and its commit, the deployment's form, the account's rights, whether it
fits, and whether the cluster would take the objects.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from carferry.io.net.retry import Retry
from carferry.run.request import Run
from carferry.run.served import is_served
from carferry.run.settings import entry
from carferry.run.sizing import size, unplanned
from carferry.selection.select import choose
from carferry.serve.platforms import AUTO
from carferry.source.open import pinned
from carferry.source.pieces import Pieces
from carferry.steps.access import patience
from carferry.steps.deploy import check, placed
from carferry.steps.models import open_model
from carferry.steps.plan import plan
from carferry.steps.results import Built
from carferry.steps.rights import DEPLOY
from carferry.steps.settings import BuildSettings
from carferry.steps.standing import standing

if TYPE_CHECKING:
    from carferry.cluster.api import Api
    from carferry.cluster.client import Cluster

_log = logging.getLogger("carferry")


@dataclass(frozen=True, slots=True)
class Found:
    """What later steps work with.

    Attributes:
        model: The model at one commit, as text.
        sizing: A deployment's settings by name; numbers are numbers.
        asked: Id of what the deployment is asked to be; empty if none is made.
        standing: The image that is there and makes the run end here; None: it goes on.
    """

    model: str
    sizing: dict[str, Any]
    asked: str = ""
    standing: Built | None = None

    @property
    def due(self) -> str:
        """``yes`` if the run goes on, else ``no``: a text, since conditions compare texts best."""
        return "no" if self.standing else "yes"

    @property
    def reference(self) -> str:
        """The image by digest that makes the run end here; empty if it goes on."""
        return self.standing.reference if self.standing else ""


def first(
    run: Run,
    *,
    report: str = "",
    chart: str = "",
    connect: Callable[[], Api] | None = None,
    retry: Retry | None = None,
) -> Found:
    """Check a run's every input and size its deployment.

    Args:
        run: What its form says.
        report: File for the report as Markdown; empty for none.
        chart: File for the report as a page; empty for none.
        connect: Reaches the cluster, if something is to be asked there.
        retry: How often what fails for the moment is tried again.

    Raises:
        InputError: Something that another try would not change; also its leaves, such as
            SourceNotFound, RightsMissing and DoesNotFit.
    """
    again = retry or patience()
    run.check()
    if run.is_served and run.image:
        check(run.image, run.form({}))
    opened = _opened(run, again)
    exact = _pinned(run, opened)
    if there := _ends_with(run, opened, connect, again):
        told = f"nothing to do: {run.image} is {there.digest}, made of {exact}"
        _log.info("%s", told)
        unplanned(report, chart, told)
        return Found(exact, {}, standing=there)
    if run.prove:
        plan(exact, run.image, prove=True, opened=opened, **run.build)
    made = size(
        exact,
        run.plan_settings(),
        run.wishes,
        serve=run.serve,
        auth=run.has_auth,
        llm=run.is_llm,
        platform=entry(run.settings, "platform") or AUTO,
        warms=run.warms,
        builder=run.builder,
        report=report,
        chart=chart,
        connect=connect,
        retry=again,
        opened=opened,
    )
    sizing = made.as_json()
    if run.is_served and run.image:
        reach = (lambda: _cluster(connect)) if run.serve == DEPLOY else None
        check(run.image, run.form(sizing), connect=reach)
    return Found(exact, sizing, run.asked)


def _ends_with(
    run: Run, opened: Pieces, connect: Callable[[], Api] | None, retry: Retry
) -> Built | None:
    """Return the image that leaves nothing to do: there, and served if it is to be."""
    if not run.may_end_at_once:
        return None
    there = standing(opened, run.image, retry=retry, **run.build)
    if there is None or run.serve != DEPLOY:
        return there
    cluster = _cluster(connect)
    wanted = check(run.image, placed(run.form({}), cluster.namespace))
    served = retry.call(lambda: is_served(cluster.api, wanted, there.digest, run.asked))
    return there if served else None


def _opened(run: Run, retry: Retry) -> Pieces:
    """Open the model for every question that is asked about it: each file is read once."""
    access = replace(BuildSettings(**run.build).access(), retry=retry)
    return Pieces(open_model(run.model, "", access))


def _pinned(run: Run, opened: Pieces) -> str:
    return pinned(run.model, choose(opened.source, run.patterns, pieces=opened).files)


def _cluster(connect: Callable[[], Api] | None) -> Cluster:
    """Connect to the cluster; importing the client takes 0.3 s, so only a deployment does it."""
    from carferry.cluster.client import Cluster

    return Cluster(connect()) if connect else Cluster.connect()

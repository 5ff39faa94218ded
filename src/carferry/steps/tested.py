"""What a test of an endpoint gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from carferry.endpoint import page
from carferry.endpoint.tested import COLUMNS, Measured
from carferry.errors import EndpointFailed
from carferry.io.markup import in_html
from carferry.steps import markdown
from carferry.steps.markdown import Column
from carferry.steps.results import Result


@dataclass(frozen=True, slots=True, repr=False)
class Tested(Result):
    """A served model that answered, and how fast it did under load.

    Attributes:
        measured: Everything that was seen.
    """

    measured: Measured

    @property
    def ok(self) -> bool:
        """Whether nothing failed, under load either."""
        return not self.measured.failures

    def require(self) -> Tested:
        """Return itself if nothing failed.

        Raises:
            EndpointFailed: Requests of the load did; names the first one's words.
        """
        if not self.ok:
            said = next(level.failure for level in self.measured.levels if level.failure)
            reason = f"{self.measured.failures} requests failed under load, the first with: {said}"
            raise EndpointFailed("measure", self.measured.name, reason)
        return self

    @property
    def headline(self) -> str:
        """The answer in one line."""
        return self.measured.headline

    @property
    def url(self) -> str:
        """Where it answered."""
        return self.measured.url

    @property
    def task(self) -> str:
        """What the model is for: ``chat``, ``completion``, ``embedding``, ..."""
        return self.measured.answer.task.name

    @property
    def model(self) -> str:
        """The name that requests use."""
        return self.measured.answer.model.name

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers, for charts over many runs; seconds, and tokens per second."""
        return self.measured.numbers

    @property
    def text(self) -> str:
        """The report for a terminal."""
        return "\n".join(page.lines(self.measured)) + "\n"

    @property
    def markdown(self) -> str:
        """The report as Markdown."""
        columns = [Column(name, True) for name in COLUMNS]
        rows = [*self.measured.rows()]
        tables = [markdown.table(columns, rows)] if rows else []
        return markdown.page(self.headline, [*self.measured.facts], *tables) + "\n"

    @property
    def html(self) -> str:
        """The report as a page of its own: ASCII, no script, nothing fetched."""
        return page.html(self.measured)

    def as_json(self) -> dict[str, Any]:
        """Return the answer as plain values; times in seconds."""
        return self.measured.as_json()

    def __repr__(self) -> str:
        """Return the answer in one line."""
        return f"<Tested: {self.headline}>"

    def _repr_html_(self) -> str:
        return page.fragment(self.measured)


@dataclass(frozen=True, slots=True)
class Untested(Result):
    """An endpoint that was not asked.

    Attributes:
        reason: Why.
        url: Empty: it answered nowhere.
    """

    reason: str
    url: str = ""

    @property
    def headline(self) -> str:
        """The reason."""
        return self.reason

    @property
    def markdown(self) -> str:
        """The reason."""
        return f"{self.reason}\n"

    @property
    def html(self) -> str:
        """The reason as a page."""
        return f"<!doctype html><title>Not asked</title><p>{in_html(self.reason)}</p>\n"

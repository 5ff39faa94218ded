"""Component: a served model, asked and measured."""

from typing import Any

from kfp.dsl import HTML, Metrics, Output

from carferry.bundle.component import component


@component
def test_endpoint(
    name: str,
    page: Output[HTML],
    metrics: Output[Metrics],
    namespace: str = "",
    serve: str = "deploy",
    settings: dict[str, Any] = {},  # noqa: B006 - kfp writes the default into the YAML
) -> str:
    """Ask a served model once, by its own task, and measure it if the settings say so.

    Args:
        name: InferenceService, or a URL.
        page: What it answered, and how fast.
        metrics: Seconds to an answer and to the first token, tokens per second, failures.
        namespace: Project it is in. Empty: this one.
        serve: deploy; anything else: nothing was applied, so nothing is asked.
        settings: test (answer: ask once; load: also lay 1, 4 and 16 requests at once on it; no).

    Returns:
        Where it answered. Empty: it was not asked.
    """
    from pathlib import Path

    from carferry.run.settings import test_of
    from carferry.steps.endpoint import test_deployed

    tested = test_deployed(serve, name, namespace=namespace, test=test_of(settings))
    Path(page.path).write_text(tested.html)
    metrics.metadata.update(tested.numbers)
    return tested.url

"""Component: a served model, asked and measured."""

from typing import NamedTuple

from kfp.dsl import HTML, Metrics, Output

from carferry.bundle.component import component


@component
def test_endpoint(
    name: str,
    answer: Output[HTML],
    metrics: Output[Metrics],
    namespace: str = "",
    load: str = "short",
    task: str = "",
) -> NamedTuple("Asked", [("url", str)]):  # type: ignore[valid-type]
    """Ask a served model once, by its own task, and measure it for some seconds.

    Args:
        name: InferenceService or LLMInferenceService by name, or a URL.
        answer: What it said, and how fast.
        metrics: Seconds to an answer and to the first token, tokens per second, failures.
        namespace: Project it is in. Empty: this one.
        load: short: 1, 4 and 16 requests at once, five seconds each; no: only ask.
        task: chat, completion, embedding, transcription or score. Empty: what the server takes.

    Returns:
        url: Where it answered.
    """
    from pathlib import Path

    from carferry.steps.endpoint import test_endpoint

    tested = test_endpoint(name, namespace=namespace, load=load, task=task)
    Path(answer.path).write_text(tested.html)
    metrics.metadata.update(tested.numbers)
    return (tested.require().url,)

"""Outputs of steps, as the conditions of kfp's local runner look for them.

A condition names a step's output as ``pipelinechannel--STEP-OUTPUT``. kfp 2.17 takes that for an
output only if it is called ``Output``, else for an input of the pipeline, finds none and counts the
condition as false: the run would end there, as if all were well. So outputs are kept as inputs too.
Source: kfp 2.17.0, local/orchestrator/enhanced_dag_orchestrator.py, ConditionEvaluator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kfp.local.io import IOStore


@contextlib.contextmanager
def known_to_conditions() -> Iterator[None]:
    """Let conditions find every step's outputs while a run goes on."""
    put = IOStore.put_task_output

    def put_both(self: IOStore, task_name: str, key: str, value: Any) -> None:
        put(self, task_name, key, value)
        self.put_parent_input(f"pipelinechannel--{task_name}-{key}", value)

    IOStore.put_task_output = put_both
    try:
        yield
    finally:
        IOStore.put_task_output = put

"""Lines as vLLM logs them: ``(APIServer pid=1) INFO 11-26 15:00:00 [api_server.py:1] text``.

Source: vLLM 0.24 ``logger.py`` (the format), ``utils/system_utils.py`` (the prefix of a process).
"""

from __future__ import annotations

import os
import sys
import time
import traceback


def api(text: str, *values: object) -> None:
    """Log a line of the process that serves."""
    _say("APIServer", os.getpid(), "INFO", "api_server.py:580", text % values)


def engine(text: str, *values: object, level: str = "INFO") -> None:
    """Log lines of the process that computes."""
    for line in (text % values if values else text).splitlines():
        _say("EngineCore", _ENGINE_PID, level, "core.py:1231", line)


def engine_error(error: BaseException) -> None:
    """Log that the engine did not start, with the traceback that vLLM shows of it."""
    engine("EngineCore failed to start.", level="ERROR")
    engine("".join(traceback.format_exception(error)), level="ERROR")


def api_traceback(words: str) -> None:
    """Print how the process that serves ends, whatever it ends of."""
    lines = ["Traceback (most recent call last):", '  File "<frozen runpy>", line 198, in _run_mod'
             "ule_as_main", *words.splitlines()]  # fmt: skip
    for line in lines:
        print(f"(APIServer pid={os.getpid()}) {line}", file=sys.stderr, flush=True)


_ENGINE_PID = 77


def _say(process: str, pid: int, level: str, where: str, text: str) -> None:
    when = time.strftime("%m-%d %H:%M:%S")
    print(f"({process} pid={pid}) {level} {when} [{where}] {text}", flush=True)

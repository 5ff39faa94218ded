"""What vLLM says of its own KV cache, in ``/metrics``.

Source: vLLM, v1/metrics/loggers.py (``vllm:cache_config_info``, a gauge whose labels are the
cache's configuration); Prometheus, text exposition format.
"""

from __future__ import annotations

import re

from carferry.endpoint.asking import Refused, text
from carferry.endpoint.door import Door
from carferry.errors import CarferryError

_MOST_BYTES = 4 * 1024 * 1024
_CACHE = re.compile(r"^vllm:cache_config_info\{(.{0,8192}?)\}\s", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([0-9]{1,15})"')


def kv_tokens(door: Door) -> int:
    """Return the tokens that a server's KV cache holds; 0 if it does not say.

    Of models whose layers keep caches of several kinds it is what as many blocks hold, not the
    tokens that vLLM logs.
    """
    try:
        found = text(door, "read", "/metrics", _MOST_BYTES)
    except (Refused, CarferryError):
        return 0
    return tokens_of(found)


def tokens_of(exposition: str) -> int:
    """Return the same of the text of ``/metrics``; several engines are added up."""
    total = 0
    for match in _CACHE.finditer(exposition):
        labels = dict(_LABEL.findall(match[1]))
        total += int(labels.get("num_gpu_blocks", 0)) * int(labels.get("block_size", 0))
    return total

"""What the headers of a checkpoint say of the sizes that its config leaves out.

Used for an architecture that the plan does not know, whose config may use names of its own. The
shapes of a decoder's tensors have the same meaning whatever its code is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from carferry.gpu.loaded.stored import LAYER, TOWER
from carferry.weights.safetensors import Tensor

_EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|word_embeddings|tok_embeddings|wte|embed)\.weight$"
)
_QUERIES = re.compile(r"\.(?:q_proj|query|wq)\.weight$")
_KEYS = re.compile(r"\.(?:k_proj|key|wk)\.weight$")
_UP = re.compile(r"(?<!expert)\.(?:up_proj|w3|fc1|c_fc)\.weight$")
_EXPERT = re.compile(r"experts?\.")


def measured_sizes(tensors: Sequence[Tensor]) -> dict[str, int]:
    """Return what the tensors' shapes tell, under the names of config.json.

    Returns:
        Also ``query_width`` and ``key_width``, of all heads together.
    """
    own = [one for one in tensors if len(one.shape) == 2 and not TOWER.match(one.name)]
    found: dict[str, int] = {}
    embedding = _first(own, _EMBEDDING)
    if embedding:
        found |= {"vocab_size": embedding.shape[0], "hidden_size": embedding.shape[1]}
    numbers = {int(match[1]) for one in own if (match := LAYER.search(one.name))}
    if numbers and max(numbers) < 2 * len(numbers):
        found["num_hidden_layers"] = max(numbers) + 1
    up = _first((one for one in own if not _EXPERT.search(one.name)), _UP)
    if up:
        found["intermediate_size"] = up.shape[0]
    queries, keys = _first(own, _QUERIES), _first(own, _KEYS)
    if queries and keys:
        found |= {"query_width": queries.shape[0], "key_width": keys.shape[0]}
    return found


def _first(tensors: Iterable[Tensor], name: re.Pattern[str]) -> Tensor | None:
    return next((one for one in tensors if name.search(one.name)), None)

"""The model families the plan knows: what each is built like beyond what its config says.

Defaults are what transformers' config classes assume when a key is absent; traits are what
vLLM's model code builds. A family that is not here is planned as a plain decoder, unchecked.

Sources: transformers 5.24 ``models/*/configuration_*.py``; vLLM 0.33 ``model_executor/models``
and ``models``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Family:
    """How one ``model_type`` is built.

    Attributes:
        sliding: Which layers slide when the config lists none. ``set``: all, if a window is set,
            which is what vLLM makes of a model whose code does not know better; ``alternate``:
            even layers; ``most``: all but each ``period``-th; ``after``: all but the first of
            each ``period``; ``switch``: those from max_window_layers on, if use_sliding_window;
            ``never``.
        norms: Norm vectors per layer, in units of the hidden width.
        output_gate: Queries come with a gate of the same width.
        state: What keeps a recurrent state, by the kinds of RecurrentState; empty if nothing.
        offset: Positions the embedding table keeps for padding; no token can use them.
        learned: Positions are an embedding table.
        pooler: A dense layer of the hidden width ends an encoder.
        copies_kv: KV heads may be copied to more ranks than there are heads.
        chunked: Layers with rotary positions see no further than their chunk.
        twice: A layer holds two attentions and two dense MLPs beside its experts.
        expanded: Latent attention keeps keys and values of every head, as its own code attends.
        more: Which weights come on top, by the name of a function of ``extras``.
    """

    defaults: Mapping[str, object] = field(default_factory=dict)
    sliding: str = "set"
    period: int = 6
    gated: bool = True
    bias: bool = False
    norms: int = 2
    output_gate: bool = False
    state: str = ""
    pooling: bool = False
    learned: bool = False
    pooler: bool = False
    copies_kv: bool = True
    offset: int = 0
    more: str = ""
    chunked: bool = False
    twice: bool = False
    expanded: bool = False


FORCED = "gqa"
"""What a user forces for an unknown architecture: a plain decoder with grouped attention."""

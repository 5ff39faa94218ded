"""Encoders for embeddings and ranking, and speech models, by ``model_type``.

Sources: transformers 5.24 ``models/*``; vLLM 0.33 ``model_executor/models``
{bert,bert_with_rope,roberta,modernbert,whisper}.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from carferry.gpu.model.family import Family

_BERT = {"max_position_embeddings": 512, "type_vocab_size": 2, "tie_word_embeddings": True}
_ENCODER = Family(
    defaults=_BERT, gated=False, bias=True, norms=4, pooling=True, learned=True, pooler=True
)
_ROBERTA = replace(_ENCODER, offset=2)
_ROTARY = replace(_ENCODER, learned=False, pooler=False, gated=True, bias=False)

ENCODERS: Mapping[str, Family] = {
    **dict.fromkeys(("bert", "ernie", "electra", "megatron-bert"), _ENCODER),
    **dict.fromkeys(("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert"), _ROBERTA),
    "mpnet": replace(_ROBERTA, defaults={**_BERT, "type_vocab_size": 0}),
    "distilbert": replace(_ENCODER, pooler=False, defaults={**_BERT, "type_vocab_size": 0}),
    **dict.fromkeys(("deberta", "deberta-v2"), replace(_ENCODER, pooler=False)),
    "modernbert": replace(_ROTARY, norms=2),
    "eurobert": replace(_ROTARY, norms=2),
    "nomic_bert": _ROTARY,
    "gte": replace(_ROTARY, bias=True),
    "jina_embeddings_v3": replace(_ENCODER, learned=False),
    "whisper": Family(gated=False, bias=True, norms=6),
}

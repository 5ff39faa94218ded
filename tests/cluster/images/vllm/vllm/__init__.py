"""Stands in for vLLM on a node without GPUs: the same command line, words and API.

What it is told beyond vLLM's own arguments comes in variables, so that arguments stay vLLM's:

STANDIN_VLLM           the version whose arguments it takes; 0.24.0
STANDIN_FAIL           how it fails (`standin/failures.py`), as in ``slow:20``
STANDIN_TOKENS_PER_S   how fast one request gets tokens; 0 is as fast as it can
STANDIN_FIRST_TOKEN_S  how long the first one takes
"""

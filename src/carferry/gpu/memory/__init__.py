"""What vLLM needs of a GPU's memory: weights, KV cache, and all beside them."""

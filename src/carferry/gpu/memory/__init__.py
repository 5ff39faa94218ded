"""What vLLM needs of a GPU's memory: weights, KV cache, activations and overhead."""

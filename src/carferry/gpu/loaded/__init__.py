"""The weights as vLLM holds them on one GPU: parts, cuts, kernels' padding, the allocator."""

"""Which GPUs there are: products that are known, and what a cluster has free."""

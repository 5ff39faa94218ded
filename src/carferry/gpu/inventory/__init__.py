"""The GPUs to plan for: known products, and what a cluster has free."""

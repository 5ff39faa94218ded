"""What weight files say about themselves, read by Range, and whether a model is whole."""

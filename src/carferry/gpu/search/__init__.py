"""Which way to run a model is best, and what would have to change where none is."""

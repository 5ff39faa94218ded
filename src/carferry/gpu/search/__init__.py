"""The search for the best way to run a model, and for the smallest change if there is none."""

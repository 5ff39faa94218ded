"""Which files of a model enter its image: decided by the model, then by what a user names."""

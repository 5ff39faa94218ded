"""The shape of a model, and the fields of a config.json it is read from."""

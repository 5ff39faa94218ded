"""What a model is, from its config.json and its safetensors headers."""

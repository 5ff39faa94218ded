"""The arithmetic of one choice, and why vLLM would refuse to start it."""

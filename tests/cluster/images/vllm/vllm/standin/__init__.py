"""What is not vLLM's."""

"""What vLLM logs when it starts: read, compared with the prediction, and learned from."""

"""What differs between releases of vLLM, as far as the plan needs it."""

"""What weight files say about themselves: headers of safetensors, read by Range."""

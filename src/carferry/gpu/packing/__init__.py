"""How stored weights are packed, read layer by layer."""

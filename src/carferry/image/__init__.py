"""What an image is: its base, its layers, its documents, and the contract that KServe relies on."""

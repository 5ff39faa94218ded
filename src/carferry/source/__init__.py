"""Where a model is read from: the Hugging Face hub or a folder, behind one protocol."""

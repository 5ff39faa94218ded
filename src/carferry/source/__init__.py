"""Where a model is read from: the hub, a folder, a bucket or a claim, behind one protocol."""

"""Places for images: registries and OCI layouts, behind one protocol, and how they are opened."""

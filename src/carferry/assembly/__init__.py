"""One image being made: planned, moved by the stream engine or by Buildah, sealed."""

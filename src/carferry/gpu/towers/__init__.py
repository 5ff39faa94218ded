"""Encoders beside the decoder: images and sounds."""

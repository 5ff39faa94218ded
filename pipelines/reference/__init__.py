"""The generated reference: components, pipelines, settings and the Python API."""

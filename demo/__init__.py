"""The demo: a real model becomes an image through the pipeline run locally, and a page shows it."""

"""What is called: the pages of the command line, Python, components, pipelines and settings."""

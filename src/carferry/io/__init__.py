"""Effects that every room shares: HTTP, trying again, progress, the terminal, files."""

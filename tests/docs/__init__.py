"""Every command of the documentation, run as it is pasted (docs/adr/0054-docs-are-run.md)."""

"""The report of a GPU plan: as text, Markdown, an HTML page or a fragment of one."""

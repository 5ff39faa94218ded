"""A GPU plan for people: text, Markdown, HTML."""

"""What ``--json`` prints: the documents, their JSON Schemas, an example of each, their page."""

"""The bytes of the OCI specification: documents and tar entries."""

"""Where images live: a registry or an OCI layout, behind one protocol; how to be let in."""

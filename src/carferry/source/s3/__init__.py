"""Buckets that speak S3: names, connections, the client, what it raises, reading."""

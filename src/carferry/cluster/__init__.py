"""A Kubernetes cluster with KServe: apply objects, wait for them, run Jobs, ask what is missing.

Nothing is imported here: a compiled component carries only the modules its own step needs.
``client.Cluster`` is the way in.
"""

"""A Kubernetes cluster with KServe: connection, permissions, apply, wait, Jobs, and a step's pod.

``client.Cluster`` is the entry point. This package imports nothing itself: a compiled component
carries only the modules that its own step needs.
"""

"""A real Kubernetes of one node, with KServe, in namespaces of its own below one process.

``python -m cluster.rig up FOLDER`` starts one that stays (with PYTHONPATH=tests); the tests start
theirs by `rig.node.start`, and it goes when they do, however they end.
"""

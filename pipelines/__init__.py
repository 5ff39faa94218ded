"""Kubeflow Pipelines pipelines composed of carferry's components."""

"""Check a compiled pipeline for the backends that will run it, before it is uploaded.

``document`` reads the YAML; ``compiler``, ``driver`` and ``controller`` make the Workflow and its
nodes as Kubeflow Pipelines and Argo would; ``sizes`` measures them; ``checks`` compare the
document with what each release of ``targets`` knows.
"""

"""What a backend will make of a compiled pipeline, before it is uploaded.

``document`` reads the YAML; ``compiler``, ``driver`` and ``controller`` make the Workflow and its
nodes as Kubeflow Pipelines and Argo would; ``sizes`` weighs them; ``checks`` hold the document
against what each release of ``targets`` knows.
"""

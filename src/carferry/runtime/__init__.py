"""A step's image without a container engine: wheels and carferry as one layer on a Python base.

pip only downloads; which packages, for which Python and which C library is decided here, so that
the layer is a function of the base, the pins and carferry, and of nothing on this machine
(docs/adr/0015-runtime-image.md).
"""

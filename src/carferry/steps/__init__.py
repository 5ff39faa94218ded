"""The steps, one function each: the Python API, which components and the command line call too.

A model and an image in as text, settings as typed keywords, a frozen result out. Nothing is
imported here: ``import carferry`` loads each step when it is first used.
"""

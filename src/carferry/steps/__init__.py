"""The steps of the pipeline, one module and one function each.

Plain strings in, a frozen result out; components, the command line and notebooks all call them.
Nothing is imported here: a compiled component carries only the modules its own step needs.
"""

"""The use cases: each is a function from inputs to a result value.

Nothing here prints or uses the command line.
"""

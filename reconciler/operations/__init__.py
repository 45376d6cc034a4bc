"""The use cases: each is a function from inputs to a result value.

Nothing here prints, and nothing here knows a command line.
"""

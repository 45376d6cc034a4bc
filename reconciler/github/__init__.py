"""GitHub: its API, and the comments, issues and pull requests of the workflows.

Only the command line imports this package.
"""

"""GitHub: its API, and what the workflows keep there (comments, issues, pull requests).

A room of its own: nothing but the command line imports it.
"""

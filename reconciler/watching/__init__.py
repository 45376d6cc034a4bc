"""The resident form of the second loop: judge, roll back, write back and follow a branch, tick by tick.

Judging waits for nothing but the database; whatever talks to a remote does so in a thread beside it.
"""

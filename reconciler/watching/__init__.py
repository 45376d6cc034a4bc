"""`reconcile watch`: a resident process that judges, rolls back, writes back and follows a branch.

A tick depends on the database alone. Another thread talks to the git remote.
"""

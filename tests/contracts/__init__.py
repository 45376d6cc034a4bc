"""The contracts of the program, as records: scripts, databases, repositories and services rely on them.

Each test reads one contract from the running program and compares it with a text file in `record/`.
A test never writes a record. To accept a deliberate change, run `python -m tests.contracts`, and
commit the changed records with the change: their diff is the change of the contract.
"""

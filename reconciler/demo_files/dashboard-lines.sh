# The dashboard, at http://127.0.0.1:8017; Ctrl-C ends it.
reconcile dashboard --listen 127.0.0.1:8017

# The same in a terminal.
reconcile status
reconcile history

# Stop the database.
reconcile db stop

"""A real cluster on this machine, with one fault a round: `make test-cluster`.

Three Patroni with three etcd, HAProxy and PgBouncer run from Debian's packages. pytest collects nothing
here.
"""

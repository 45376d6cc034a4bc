"""The dashboard: what production does, live, and the few acts that are urgent."""

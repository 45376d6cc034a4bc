"""Measurements of the promised speed; run by `make bench`."""

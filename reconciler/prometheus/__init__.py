"""Prometheus as the source of figures, for services that count their jobs there.

An optional room: the core knows only `MetricsSource`.
"""

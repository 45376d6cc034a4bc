"""Prometheus as the source of job metrics, for services that count their jobs there.

Optional: the core knows only `MetricsSource`.
"""

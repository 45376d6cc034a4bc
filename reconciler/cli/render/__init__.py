"""Turning values into text, Markdown and tables."""

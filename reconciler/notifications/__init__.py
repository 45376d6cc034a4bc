"""Notifications: messages from the outbox to Slack, Teams, PagerDuty, webhooks, email and apprise.

A message is delivered at least once. Its id is the same on every try, so that a receiver can drop a copy.
"""

"""Which repositories are eligible: categories, strategies, buckets and rules, as pure functions."""

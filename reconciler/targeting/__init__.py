"""Who is in: categories, strategies, buckets and the order of eligibility, as pure functions."""

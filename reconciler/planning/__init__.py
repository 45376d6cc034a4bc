"""What an apply will do, decided from values alone."""

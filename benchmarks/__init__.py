"""What is promised of speed, measured; run by `make bench`."""

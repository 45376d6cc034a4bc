"""What commit a file is at, read from git."""

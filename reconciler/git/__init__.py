"""Reading and writing git: commits, ancestry, checkouts, the git part of write-back."""

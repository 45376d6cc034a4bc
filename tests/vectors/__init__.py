"""The frozen vectors, as values."""

import csv
from pathlib import Path

BUCKETS_FILE = Path(__file__).with_name("buckets.csv")


HASHTEXT_FILE = Path(__file__).with_name("hashtext.csv")


def bucket_vectors() -> list[tuple[str, str, int]]:
    """Salt, repository id and bucket of every row."""
    with BUCKETS_FILE.open(encoding="utf-8", newline="") as file:
        return [(row["salt"], row["id"], int(row["bucket"])) for row in csv.DictReader(file)]


def hashtext_vectors() -> list[tuple[str, int]]:
    """Text and hash of every row."""
    with HASHTEXT_FILE.open(encoding="utf-8", newline="") as file:
        return [(row["text"], int(row["hash"])) for row in csv.DictReader(file)]

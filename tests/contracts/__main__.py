"""Write the records again: `python -m tests.contracts`. Further arguments go to pytest."""

import os
import sys
from pathlib import Path

import pytest

from tests.contracts.record import WRITE

if __name__ == "__main__":
    os.environ[WRITE] = "1"
    sys.exit(pytest.main([str(Path(__file__).parent), "--quiet", *sys.argv[1:]]))

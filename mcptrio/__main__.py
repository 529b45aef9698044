"""`python -m mcptrio` is `mcptrio`."""

import sys

from mcptrio.cli import main

if __name__ == "__main__":
    sys.exit(main())

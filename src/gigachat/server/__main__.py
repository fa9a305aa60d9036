"""`python -m gigachat.server`: the local server alone."""

import sys

from gigachat.server.command import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m dashboards`: what `hcs dashboard` starts."""

from __future__ import annotations

import sys

from dashboards.serving import main

if __name__ == "__main__":
    sys.exit(main())

"""python -m rfa: the command line."""

import sys

from rfa.cli import main

sys.exit(main())

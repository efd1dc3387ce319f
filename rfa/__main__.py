"""python -m rfa: the command line."""

import sys

from rfa.cli.main import main

sys.exit(main())

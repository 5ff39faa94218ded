"""``python -m carferry``."""

import sys

from carferry.cli import main

sys.exit(main())

"""`python -m voxray` is the program `voxray`."""

import sys

from voxray.cli.main import main

sys.exit(main())

"""`python -m gpuenv` is the `gpuenv` command."""

import sys

from gpuenv.cli.main import main

sys.exit(main())

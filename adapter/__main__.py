"""``python -m adapter``: the same door as the ``adapter`` command."""

import sys

from adapter.cli import main

sys.exit(main())

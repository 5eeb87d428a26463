"""The command `python -m rpcnode`: the same as `rpcnode`."""

import sys

from rpcnode.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""`foldseg ensemble`: blend runs, score the blend on OOF, write and validate its submission, add it to the ledger."""

import sys

from foldseg.cli.app import main

if __name__ == "__main__":  # the processes that blend import this file
    sys.argv[1:1] = ["ensemble"]
    main()

"""`python -m foldseg` is the command `foldseg`."""

from foldseg.cli.app import main

if __name__ == "__main__":
    main()

"""`python -m shoestring`: the command line, also where no script is on the path."""

import sys

from shoestring.cli import main

if __name__ == "__main__":
    sys.exit(main())

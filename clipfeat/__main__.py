"""Command line as ``python -m clipfeat``."""

from clipfeat.cli import main

if __name__ == "__main__":
    main()

"""``python -m clipfeat``."""

from clipfeat.cli import main

main()

"""`python -m entrypoints.cli` is the command `payments`."""

from entrypoints.cli import main

main()

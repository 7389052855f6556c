"""`python -m mechboard` is `bench`."""

from mechboard.cli import main

main()

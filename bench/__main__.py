"""`python -m mechboard` is `bench`."""

from .cli import main

main()

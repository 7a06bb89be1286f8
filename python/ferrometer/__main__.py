"""`python -m ferrometer` is the `ferrometer` command."""

from ferrometer.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m telic`: the same as the command `telic`."""

from telic.cli import main

if __name__ == "__main__":
    main()

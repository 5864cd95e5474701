"""`python -m mixdata.cli` is `mixdata`."""

from mixdata.cli import main

if __name__ == "__main__":
    main()

"""`python -m berth`."""

from berth.cli.app import main

if __name__ == "__main__":
    main()

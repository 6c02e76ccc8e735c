"""Lets `python -m db_manager` run the commands."""

from db_manager.cli import main

if __name__ == "__main__":
    main()

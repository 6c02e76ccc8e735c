"""`python -m quart_fleet.server`: the services of a workspace, in one process, until SIGTERM."""

import argparse
import sys

from quart_fleet.errors import ConfigurationError
from quart_fleet.server._together import serve_together


def main() -> None:
    """Serve all services of the workspace here, or those that are named."""
    parser = argparse.ArgumentParser(
        prog="python -m quart_fleet.server",
        description="Serve the services of a workspace in one process, each on its own port, until "
        "SIGTERM.",
    )
    parser.add_argument(
        "names", metavar="SERVICE", nargs="*", help="its name or package (default: all)"
    )
    try:
        serve_together(parser.parse_args().names)
    except ConfigurationError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()

"""How the process of a service runs: `start` in every process, `serve` in `python app.py`.

    app = start(create_app)

    if __name__ == "__main__":
        serve(app, "user_service.app:app")

On SIGURG a process drains: it asks its clients, by `Connection: close`, to come back elsewhere, and
goes on. On SIGTERM or SIGHUP it drains too, accepts nothing more, and ends when its requests have,
within GRACEFUL_TIMEOUT. It ends as well when the parent of its workers dies. Another ASGI server may
run `app` in place of `serve`: the limits on what a client may send before a handler runs are those
of that server then.
"""

import sys

from quart_fleet.server._start import serve, start, untold
from quart_fleet.unfinished import settle_services

__all__ = ["serve", "start"]

# An app.py imports this first, and then the service's own code, which may be half of two versions.
settle_services(sys.path, untold.append)

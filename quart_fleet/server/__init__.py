"""How the process of a service runs: `start` in every process, `serve` in `python app.py`.

    app = start(create_app)

    if __name__ == "__main__":
        serve(app, "user_service.app:app")

A process that serves drains on SIGURG, finishes its requests on SIGTERM within 30 seconds, and
ends when the parent of its workers dies. Another ASGI server may run `app` in place of `serve`.
"""

from quart_fleet.server._start import serve, start

__all__ = ["serve", "start"]

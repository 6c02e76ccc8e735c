"""The framework that every service of a fleet runs on.

`web` is what controllers call, `database` what adapters call, `server` what app.py calls, `testing`
a plugin of pytest, and `postgres` the embedded server. `asgi` makes Quart take less time for a
request; no service imports it. A package's `__init__` exports what is public; names of private
modules begin with an underscore.
"""

__version__ = "0.4.0"

"""`python -m scaffold`."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until a command has a handler: Ctrl-C while modules are imported shows no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from scaffold.cli import main

main(prog_name="python -m scaffold")

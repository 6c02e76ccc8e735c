"""The fleet as one thing: its services run, are watched, started anew and ended together."""

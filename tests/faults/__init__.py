"""What hurts a service: CI runs a seeded part of each count, `make faults` the whole."""

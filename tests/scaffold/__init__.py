"""The generator: what it accepts, what it writes, and that it writes all or nothing."""

"""Every test of the framework; those of a service are in its own folder."""

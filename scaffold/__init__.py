"""The generator: services and workspaces, from a name to files that pass their own tests."""

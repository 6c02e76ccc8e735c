"""The commands: what each reads from its line, does and says."""

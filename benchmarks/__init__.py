"""How fast the generated services are, beside others, measured by one command."""

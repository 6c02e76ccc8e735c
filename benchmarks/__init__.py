"""How fast the generated services are, beside others, measured again by whoever asks."""

"""What a service tells of itself while it runs: each part is imported where it is switched on."""

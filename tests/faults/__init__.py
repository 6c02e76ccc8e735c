"""A service under fire: hostile clients, and the end of its process in the midst of requests."""

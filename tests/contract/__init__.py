"""The HTTP contract, held against a generated user service: a real process on a real database."""

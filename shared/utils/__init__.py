"""Small things that controllers use."""

"""The fleet on one page, and behind one address: what both show and answer."""

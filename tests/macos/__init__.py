"""What macOS does otherwise than Linux, by imitation."""

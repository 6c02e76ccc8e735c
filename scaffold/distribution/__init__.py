"""The framework as a distribution: which version runs here, and the wheel that workspaces install."""

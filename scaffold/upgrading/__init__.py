"""What brings a workspace to a newer version: the versions that made it, and a copy that is changed."""

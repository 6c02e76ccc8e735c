"""Descriptions of the workspace for platforms that run it."""

"""The chassis: what every service of a fleet runs on. Each room has its public face in its package."""

__version__ = "0.2.0"

"""The HTTP API of a generated service: where it begins, and its contract as rows of data."""

PREFIX = "/api/v1"

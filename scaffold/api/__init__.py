"""The contract of a generated service's HTTP API, as rows of data."""

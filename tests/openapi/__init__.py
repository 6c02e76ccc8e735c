"""The OpenAPI document: that it is true, and what others make of it."""

"""The language that describes resources: docs/language.md is its page."""

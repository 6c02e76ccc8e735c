"""Revisions of the database, written from two descriptions and without a database."""

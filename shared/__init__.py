"""The mechanism that every service of the workspace uses; decisions live in the services."""

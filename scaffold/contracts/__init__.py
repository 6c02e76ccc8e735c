"""The import contracts of a workspace: layers, and the imports between packages.

Every import statement counts: relative, under TYPE_CHECKING, inside a function.
What `importlib` loads at run time is no statement, and is not seen.
"""

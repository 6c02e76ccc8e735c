"""The import contracts of a workspace: layers, and who may know whom.

Every import statement counts: relative, under TYPE_CHECKING, inside a function.
What `importlib` loads at run time is no statement, and is not seen.
"""

"""The same service as others' documentation would have it written, to be compared with ours.

They run in the benchmark's own environment, where alone their frameworks are installed.
"""

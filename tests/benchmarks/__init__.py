"""The benchmark counts and compares rightly; how fast anything is, no test says."""

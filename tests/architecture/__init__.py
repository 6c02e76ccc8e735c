"""The laws of imports, and the proof that breaking one is seen."""

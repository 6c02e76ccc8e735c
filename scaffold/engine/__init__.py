"""From a changed description to files on the disk: baseline, plan, merge, and all of it or nothing."""

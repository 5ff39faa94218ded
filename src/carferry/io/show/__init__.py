"""Progress: what is counted, and how a terminal, a log and a program are shown it."""

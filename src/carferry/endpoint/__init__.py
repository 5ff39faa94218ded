"""A served model asked as its clients will: does it answer, with what, and how fast."""

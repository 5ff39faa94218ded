"""What carferry does when servers answer with anything: seeded runs of the real command line.

mutations  a real answer in, a broken one out, by a seed
scenes     real servers behind proxies, and the commands that are run against them
runs       one run of the command line and the check of how it ended
"""

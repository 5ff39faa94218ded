"""What carferry does when the network breaks: seeded runs through proxies that break things.

harness  the servers of all runs, a proxy before each, and the digests an undisturbed build gives
draws    what goes wrong in the run of a seed
runs     one run and the check of how it ended
soak     thousands of runs, or one again by its seed
"""

"""The library as one ConfigMap that every step mounts, and KFP components bound to it."""

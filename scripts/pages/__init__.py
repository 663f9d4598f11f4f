"""What scripts/results.py writes: runs, the tables made of them, and the figures."""

"""Pure functions of arrays: every value with its n, interval and the hash of its code."""

"""Promises of the package put to the test: a module each, whose trials are drawn from a seed and can be repeated."""

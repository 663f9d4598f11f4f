"""Feature extractors of images."""

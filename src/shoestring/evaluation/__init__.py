"""A model judged on a split."""

"""A model evaluated on a split."""

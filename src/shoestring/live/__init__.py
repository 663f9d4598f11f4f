"""Progress that somebody watches: on a terminal, or in a notebook."""

"""Many trainings of one recipe with other values: what to try, who trains it, and what came of it."""

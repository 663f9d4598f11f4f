"""A trained model in the user's terms, and how it is built and loaded."""

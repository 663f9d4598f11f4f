"""Flow matching: learning the way from noise to images."""

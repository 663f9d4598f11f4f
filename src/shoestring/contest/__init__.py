"""What is handed in to a contest, checked without running a line of it, and graded."""

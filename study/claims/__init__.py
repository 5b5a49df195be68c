"""What the article says of positions and rotations, each claim a function that returns numbers."""

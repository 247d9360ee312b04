"""A run: the order of the stages, the folder they leave their files in, and what comes out."""

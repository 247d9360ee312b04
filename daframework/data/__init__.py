"""Images and labels on their way from a dataset to a network."""

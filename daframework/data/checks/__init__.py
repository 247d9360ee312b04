"""What is wrong with a set of images, found without training on it."""

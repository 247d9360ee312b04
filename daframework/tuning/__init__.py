"""Search a recipe's loss weights and learning rates, or other keys, by a score that needs no label of the target."""

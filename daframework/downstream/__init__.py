"""The supervised task: fit its model, score it."""

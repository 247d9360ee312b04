"""What a run keeps: whole files, checkpoints, locks, its folder and its results."""

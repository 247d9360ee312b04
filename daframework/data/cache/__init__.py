"""Decoded and resized images on disk, for all stages, processes and runs."""

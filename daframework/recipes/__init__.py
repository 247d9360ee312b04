"""Recipes: what one may hold, and how it is read."""

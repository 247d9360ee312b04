"""Training of the translation from source to target, and translating a whole set with what was learnt."""

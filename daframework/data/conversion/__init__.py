"""Other people's labels to ours, and results beside a user's files."""

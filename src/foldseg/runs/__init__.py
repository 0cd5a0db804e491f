"""What is on disk: runs, experiments, submissions, exported files; `kinds.py` says which of these a path is."""

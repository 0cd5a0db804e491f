"""foldseg: from a folder of street scenes and masks to a leaderboard file whose score can be believed."""

__version__ = "0.1.0"

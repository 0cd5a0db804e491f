"""Figures and tables for notebooks and the demo; they read what runs and ensembles left on disk."""

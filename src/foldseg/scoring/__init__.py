"""Scores of predictions: counts of pixels, contest metrics, confidence intervals, comparisons of models."""

"""What a prediction is worth: counts, contest metrics, confidence intervals, comparisons."""

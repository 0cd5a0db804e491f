"""Looks at the files that a person has, and proposes a data set, a first experiment and a first ensemble."""

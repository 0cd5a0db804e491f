"""What a sample is: label sets, the samples table, one file per data set, folds, reading."""

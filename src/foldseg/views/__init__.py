"""What a model sees: full, crop and resized views, augmentation, the order of samples."""

"""What a model is: networks from segmentation-models-pytorch, encoder weights from disk."""

"""A trained source of predictions on any pictures and videos, and as a file for ONNX Runtime."""

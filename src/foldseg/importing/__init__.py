"""Annotations of any tool, drawn once into masks, a samples table and a list of classes."""

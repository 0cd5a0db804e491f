"""`toy_city`: made-up street scenes in the file layout of the SIGNATE AI Edge segmentation contest."""

from foldseg.data.toy_city.write import generate_toy_city

__all__ = ["generate_toy_city"]

"""Made-up street scenes in the file layout of the AI Edge contest, so that everybody has a data set to start with.

`generate_toy_city` is all that others use. A frame is made in three steps: `plan` says which street, hour and frame
number it has, `scene` what stands where in that street, `render` paints it.
"""

from toycity.write import generate_toy_city

__all__ = ["generate_toy_city"]

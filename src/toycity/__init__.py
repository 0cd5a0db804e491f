"""Made-up street scenes in the file layout of the AI Edge contest, so that everybody has a data set to start with.

Other code uses `generate_toy_city` alone. A frame is made in three steps. `plan` says which drive, street and hour it
belongs to, `scene` what stands where in that street, and `render` paints it.
"""

from toycity.write import generate_toy_city

__all__ = ["generate_toy_city"]

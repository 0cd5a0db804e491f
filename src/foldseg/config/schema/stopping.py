"""When training stops early. It is done in `foldseg.training.stopping`."""

from typing import Annotated

from pydantic import Field

from foldseg.config.schema.base import Count, Settings


class EarlyStopping(Settings):
    """Stop when what is monitored has not become better by `min_delta` in `patience` validations."""

    patience: Count = 8
    """Number of validations without improvement after which training stops."""
    min_delta: Annotated[float, Field(ge=0.0)] = 0.001
    """Least improvement that counts."""

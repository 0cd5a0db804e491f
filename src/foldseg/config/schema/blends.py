"""How the members' probabilities become one. What is summed is in `foldseg.ensemble.blend`."""

from typing import Literal

from foldseg.config.schema.choice import Choice


class Blend(Choice):
    """How the members' probabilities become one."""

    first_is_default = True

    union: tuple[str, ...] = ()
    """Classes that win a pixel if they win it in any member. At such a pixel, only these members count."""


class MeanBlend(Blend):
    """The weighted mean of the probabilities."""

    kind: Literal["mean"] = "mean"


class GeometricMeanBlend(Blend):
    """The weighted geometric mean of the probabilities."""

    kind: Literal["geometric_mean"] = "geometric_mean"


class RankMeanBlend(Blend):
    """The mean of the classes' ranks within each pixel (Borda count). How sure a member is does not count."""

    kind: Literal["rank_mean"] = "rank_mean"


class VoteBlend(Blend):
    """Each member has its weight in votes for its most probable class."""

    kind: Literal["vote"] = "vote"

"""What every rule of blending promises."""

import numpy as np
import pytest

from foldseg.config.schema import Blend
from foldseg.ensemble.blend import RULES, Blender, argmax

every_rule = pytest.mark.parametrize("kind", RULES, ids=lambda kind: kind.kind_name())


def blend(kind: type[Blend], members: list[tuple[np.ndarray, float]], union: tuple[int, ...] = ()) -> np.ndarray:
    blender = Blender(kind, union)
    for maps, weight in members:
        blender.add(maps.copy(), weight, argmax(maps), "image")
    return blender.finish()


def random_members(seed: int) -> list[tuple[np.ndarray, float]]:
    """Three members' maps (5, 4, 6) of 255 p, and their weights."""
    rng = np.random.default_rng(seed)
    maps = rng.dirichlet(np.full(5, 0.5), (3, 4, 6)).transpose(0, 3, 1, 2) * 255
    return list(zip(maps.round().astype(np.float32), [1.0, 0.5, 2.0], strict=True))


@every_rule
@pytest.mark.parametrize("union", [(), (2,)])
def test_a_blend_is_of_probabilities_whatever_the_order_of_members(kind: type[Blend], union: tuple[int, ...]) -> None:
    for seed in range(10):
        members = random_members(seed)
        found = blend(kind, members, union)
        assert found.shape == (5, 4, 6) and found.dtype == np.float32
        assert found.min() >= 0 and np.allclose(found.sum(0), 1, atol=1e-5)
        assert np.allclose(blend(kind, members[::-1], union), found, atol=1e-5)


@every_rule
def test_members_that_agree_are_not_outvoted(kind: type[Blend]) -> None:
    maps = random_members(0)[0][0]
    assert argmax(blend(kind, [(maps, 1.0), (maps, 2.0), (maps, 0.5)])).tolist() == argmax(maps).tolist()

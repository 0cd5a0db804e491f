"""How test-time augmentation is written, and what it is called."""

from pathlib import Path

import pytest
import yaml

from foldseg.config import load_ensemble, load_tta, save
from foldseg.config.schema import Tta
from foldseg.errors import FoldsegError

EIGHT = ["plain", "flip", "vflip", "rot180", "rot90", "rot270", "transpose", "transverse"]


@pytest.mark.parametrize(
    ("overrides", "expected", "slug", "views"),
    [
        ([], Tta(), "none", ["plain"]),
        (["tta=[]"], Tta(), "none", ["plain"]),
        (["tta=[flip]"], Tta(symmetries="flip"), "flip", ["plain", "flip"]),
        (["tta=[flip]", "tta=[]"], Tta(), "none", ["plain"]),
        (["tta=flip"], Tta(symmetries="flip"), "flip", ["plain", "flip"]),
        (["tta=flips"], Tta(symmetries="flips"), "flips", EIGHT[:4]),
        (["tta.symmetries=d4"], Tta(symmetries="d4"), "d4", EIGHT),
        (
            ["tta={scales: [1.25, 0.75]}"],
            Tta(scales=(0.75, 1.0, 1.25)),
            "x0.75_x1.25",
            ["plain", "scale_0.75", "scale_1.25"],
        ),
        (
            ["tta=flip", "tta.scales=[2.0]", "tta.merge=max"],
            Tta(symmetries="flip", scales=(1.0, 2.0), merge="max"),
            "flip_x2_max",
            ["plain", "scale_2", "flip", "flip*scale_2"],
        ),
        (
            ["tta.shifts=[[8, -8]]", "tta.merge=geometric_mean"],
            Tta(shifts=((8, -8), (0, 0)), merge="geometric_mean"),
            "s8_-8_geometric_mean",
            ["plain", "shift_8_-8"],
        ),
        (
            ["tta=d4", "tta.without=[transverse, rot90, rot270, transpose]"],
            Tta(symmetries="d4", without=("rot90", "rot270", "transpose", "transverse")),
            "d4_no4.5.6.7",
            EIGHT[:4],
        ),
    ],
)
def test_forms(overrides: list[str], expected: Tta, slug: str, views: list[str]) -> None:
    found = load_tta(overrides)
    assert found == expected
    assert found.slug == slug
    assert [view.name for view in found.views] == views
    assert Tta.model_validate(found.model_dump(mode="json")) == found


def test_no_two_settings_have_one_name() -> None:
    settings = [
        Tta.model_validate(
            {"symmetries": symmetries, "scales": scales, "shifts": shifts, "merge": merge, "without": out}
        )
        for symmetries in ("flip", "flips", "d4")
        for scales in ((), (0.5,), (0.5, 1.5), (1.5,), (0.55,))
        for shifts in ((), ((8, 8),), ((8, 8), (-8, 0)), ((88, 0),))
        for merge in ("mean", "vote", "max")
        for out in ((), ("flip",))
    ]
    assert len({tta.slug for tta in settings}) == len(settings) == len(set(settings))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "tta=vflip",
            r"tta\.symmetries \(the command line\): .*'flips' or 'd4' \(did you mean flip\?\); found 'vflip'",
        ),
        ("tta=[flip, rot90]", r"tta\.symmetries .*found \['flip', 'rot90'\]"),
        ("tta.scales=[0.1]", r"tta\.scales\.0 .*greater than or equal to 0\.25"),
        ("tta.merge=sum", r"tta\.merge .*'geometric_mean', 'max', 'vote' or 'tsharpen'"),
        ("tta.scale=[2]", "did you mean 'scales'"),
        ("tta={symmetries: flip, without: [rot90]}", r"rot90 cannot be left out; views that can are flip"),
        ("tta={symmetries: flip, without: [plain]}", r"plain cannot be left out"),
        ("seed=1", "unknown key; .*valid keys here: tta"),
    ],
)
def test_mistakes(override: str, says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        load_tta([override])


def test_an_ensembles_members_may_have_their_own(tmp_path: Path) -> None:
    members = [{"experiment": "a"}, {"experiment": "a", "tta": {"scales": [0.75]}}, {"experiment": "a", "tta": []}]
    path = tmp_path / "e.yaml"
    path.write_text(yaml.safe_dump({"members": members, "tta": ["flip"]}))
    found = load_ensemble(path, ["tta.scales=[1.5]"])
    assert found.tta == Tta(symmetries="flip", scales=(1.5,))
    assert [member.tta for member in found.members] == [None, Tta(scales=(0.75,)), Tta()]
    assert [member.name for member in found.members] == ["a", "a~x0.75", "a~none"]
    save(found, tmp_path / "again.yaml")
    assert load_ensemble(tmp_path / "again.yaml") == found

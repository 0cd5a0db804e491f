"""What every form of predicted pictures promises."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from foldseg.config.schema import Pictures
from foldseg.data import camvid
from foldseg.data.labels import Image, LabelSet, Mask
from foldseg.deploy.forms import FORMS
from foldseg.deploy.images import predict_images
from foldseg.deploy.picture_files import find_pictures
from foldseg.files import read_json

every_form = pytest.mark.parametrize("form", FORMS)


class Stripes:
    """A source that sees the same stripes in every picture, and counts the pictures."""

    labels: LabelSet = camvid.LABELS
    reading: Pictures = Pictures()

    def __init__(self) -> None:
        self.pictures = 0

    @property
    def provenance(self) -> dict[str, Any]:
        return {"source": "stripes", "weights": ["ab" * 32], "view": {"kind": "full"}, "tta": []}

    def predict_label_map(self, picture: Image) -> Mask:
        self.pictures += 1
        height, width = picture.shape[:2]
        return np.tile(np.arange(width, dtype=np.uint8) // 8 % len(self.labels), (height, 1))

    def predict_probabilities(self, picture: Image) -> Image:
        classes = np.arange(len(self.labels))[:, None, None]
        return np.where(self.predict_label_map(picture) == classes, 255, 0).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one of them in a folder of its own."""
    rng = np.random.default_rng(0)
    for name in ("a", "city/b"):
        path = tmp_path / f"in/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), rng.integers(0, 256, (40, 88, 3), dtype=np.uint8))
    return tmp_path / "in"


def predict(folder: Path, form: str, alpha: float = 0.5) -> Stripes:
    source, out = Stripes(), folder.parent / "out"
    predict_images(source, find_pictures([folder], out), out, form, alpha)
    return source


def results_in(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@every_form
def test_a_form_writes_one_file_a_picture_and_says_what_it_is(folder: Path, form: str) -> None:
    source, out = predict(folder, form), folder.parent / "out"
    assert source.pictures == 2
    assert sorted(results_in(out)) == [f"a{FORMS[form].suffix}", f"city/b{FORMS[form].suffix}"]
    stated = read_json(out / "prediction.json")
    assert stated["form"] == form and ("alpha" in stated) == FORMS[form].uses_alpha


@every_form
def test_a_second_call_predicts_nothing_again(folder: Path, form: str) -> None:
    predict(folder, form)
    before = results_in(folder.parent / "out")
    assert predict(folder, form).pictures == 0
    assert results_in(folder.parent / "out") == before


@every_form
def test_a_form_says_whether_alpha_changes_its_files(folder: Path, form: str) -> None:
    predict(folder, form, 0.25)
    first = results_in(folder.parent / "out")
    (folder.parent / "out").rename(folder.parent / "first")
    predict(folder, form, 0.75)
    assert (results_in(folder.parent / "out") != first) == FORMS[form].uses_alpha

"""What is proposed for data that nobody has described, and that it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from foldseg.config import load_data, load_ensemble, load_experiment
from foldseg.data.datasets import DataSet
from foldseg.data.folds_file import make_folds_file
from foldseg.discovery.new_data import propose, write_configurations
from foldseg.errors import FoldsegError
from own_data_sets import write, write_cells, write_land, write_sky


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(write_set: Callable[[Path], None], name: str) -> tuple[dict[str, Any], DataSet]:
    """Write a set and what is proposed for it; return the YAML of the data, and the data."""
    write_set(Path("data") / name)
    paths = write_configurations(propose(Path("data") / name, name), Path("configs"))
    load_experiment(paths["experiment"])
    load_ensemble(paths["ensemble"])
    content = yaml.safe_load(paths["data"].read_text())["data"]
    data = DataSet(load_data(paths["data"]))
    make_folds_file(data.settings)
    return content, data


def test_a_folder_for_each_image_with_grey_edges(project: Path) -> None:
    content, data = make(write_cells, "cells")
    assert content["pictures"] == {"mask_threshold": 128}
    assert content["dataset"]["splits"] == {"train": {"images": "{id}/photo.jpg", "masks": "{id}/mask.png"}}
    assert content["dataset"]["unmasked"] == "test"
    assert data.labels.names == ["background", "object"]
    assert data.samples["split"].value_counts().to_dict() == {"train": 16, "test": 5}
    assert sorted(data.folded["group"].unique()) == ["patient0", "patient1", "patient2", "patient3"]
    assert load_ensemble(Path("configs/ensembles/cells.yaml")).score == "dataset_mean_dice_scored"


def test_colours_and_images_of_several_sizes(project: Path) -> None:
    content, data = make(write_land, "land")
    assert content["dataset"]["mask_values"] == "colors"
    assert content["dataset"]["classes"][0]["color"] == "#000000"
    assert len(data.labels) == 4
    assert data.samples["split"].value_counts().to_dict() == {"train": 12, "val": 4, "test": 3}
    assert len(data.folded) == 16
    view = load_experiment(Path("configs/experiments/land.yaml")).view
    assert view.train.window == (64, 64)


def test_run_lengths_with_overlapping_classes_and_a_table_of_groups(project: Path) -> None:
    content, data = make(write_sky, "sky")
    assert content["dataset"]["columns"] == {"id_and_label": "Image_Label", "runs": "EncodedPixels"}
    assert content["dataset"]["classes"] == ["Fish", "Flower", "Gravel"]
    assert data.labels.overlapping
    assert data.samples["split"].value_counts().to_dict() == {"train": 16, "test": 4}
    assert sorted(data.folded["group"].unique()) == ["st0", "st1", "st2", "st3"]
    submission = load_ensemble(Path("configs/ensembles/sky.yaml")).submission.model_dump()
    assert submission["kind"] == "run_length"
    assert str(submission["sample"]) == "data/sky/sample_submission.csv"


def test_it_is_seen_whether_classes_overlap(project: Path) -> None:
    write_sky(Path("data/sky"))
    assert "classes overlap in " in "\n".join(propose(Path("data/sky"), "sky").found)
    for number in range(4):
        for place, label in enumerate(("crack", "spall")):
            mask = np.zeros((32, 32), np.uint8)
            mask[16 * place : 16 * place + 8, number] = 255
            write(Path(f"data/wall/masks/{label}/{number}.png"), mask)
        write(Path(f"data/wall/images/{number}.png"), np.full((32, 32, 3), 9 * number, np.uint8))
    proposal = propose(Path("data/wall"), "wall")
    assert proposal.dataset["classes"] == ["crack", "spall"]
    assert "none did in 4 images" in "\n".join(proposal.unseen)


def test_what_was_found_and_what_could_not_be_seen_is_said(project: Path) -> None:
    write_cells(Path("data/cells"))
    proposal = propose(Path("data/cells"), "cells")
    found, unseen = "\n".join(proposal.found), "\n".join(proposal.unseen)
    for words in (
        "21 images",
        "16 with a mask",
        "ids 0, 255",
        "between black and white",
        "128x96 (21)",
        "8-bit JPEG (21)",
    ):
        assert words in found
    assert "names of the classes" in unseen
    assert "why 5 images have no mask" in unseen


def test_configurations_are_not_overwritten_unless_it_is_asked_for(project: Path) -> None:
    write_cells(Path("data/cells"))
    proposal = propose(Path("data/cells"), "cells")
    paths = write_configurations(proposal, Path("configs"))
    paths["data"].write_text("mine\n")
    with pytest.raises(FoldsegError, match=r"cells\.yaml.*exist already.*--overwrite"):
        write_configurations(proposal, Path("configs"))
    assert paths["data"].read_text() == "mine\n"
    write_configurations(proposal, Path("configs"), overwrite=True)
    assert paths["data"].read_text() != "mine\n"


def test_nothing_is_left_if_the_proposal_does_not_open(project: Path) -> None:
    write_cells(Path("data/cells"))
    proposal = propose(Path("data/cells"), "cells")
    proposal.dataset["splits"]["train"]["masks"] = "nowhere/{id}.png"
    with pytest.raises(FoldsegError):
        write_configurations(proposal, Path("configs"))
    assert not list(Path("configs").rglob("*.yaml"))


@pytest.mark.parametrize(
    ("name", "says"),
    [("a/b", "becomes the name of files"), ("", "becomes the name of files"), ("ok", "no such folder")],
)
def test_a_name_or_a_folder_that_is_not_possible_is_named(project: Path, name: str, says: str) -> None:
    with pytest.raises(FoldsegError, match=says):
        propose(Path("nowhere"), name)


def test_a_file_of_classes_gives_their_names(project: Path) -> None:
    write_land(Path("data/land"))
    lines = ["34 97 38 forest", "24 98 118 water", "178 155 32 field", "0 0 0 other"]
    Path("data/land/label_colors.txt").write_text("\n".join(lines) + "\n")
    proposal = propose(Path("data/land"), "land")
    assert [entry["name"] for entry in proposal.dataset["classes"]] == ["forest", "water", "field", "other"]


def test_a_table_of_paths_is_taken_with_its_groups(project: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["image_path,mask_path,patient"]
    for number in range(8):
        write(Path(f"data/t/im/{number}.png"), rng.integers(0, 256, (40, 40, 3), np.uint8))
        write(Path(f"data/t/gt/{number}.png"), rng.integers(0, 3, (40, 40), np.uint8))
        rows.append(f"im/{number}.png,gt/{number}.png,p{number // 2}")
    Path("data/t/list.csv").write_text("\n".join(rows) + "\n")
    proposal = propose(Path("data/t"), "t")
    assert proposal.dataset["columns"] == {"image": "image_path", "mask": "mask_path", "group": "patient"}
    paths = write_configurations(proposal, Path("configs"))
    assert len(make_folds_file(load_data(paths["data"], ["data.fold_count=2"]))) == 8


def test_images_of_a_table_are_not_looked_for_among_test_images_of_the_same_names(project: Path) -> None:
    for number in range(6):
        for folder in ("a_test", "b_train"):
            write(Path(f"data/t/{folder}/{number}.png"), np.full((24, 30, 3), 30 * number, np.uint8))
    rows = [f"{number},{24 * number + 1} 9" for number in range(6)]
    Path("data/t/train.csv").write_text("\n".join(["id,rle", *rows]) + "\n")
    proposal = propose(Path("data/t"), "t")
    assert proposal.dataset["images"] == "b_train/{id}.png"
    assert proposal.dataset["test_images"] == "a_test/{id}.png"

"""What every data set promises."""

import json
from pathlib import Path

import numpy as np
import pytest

from foldseg.config import load_data
from foldseg.config.schema import Data, DatasetKind
from foldseg.data.datasets import DATASETS, DataSet
from foldseg.data.labels import IGNORE_INDEX, LabelSet
from foldseg.data.samples import COLUMNS
from foldseg.errors import FoldsegError
from tiny_data import Surroundings, tiny_data

every_kind = pytest.mark.parametrize("kind", DATASETS, ids=lambda kind: kind.kind_name())


def classes_of(kind: type[DatasetKind]) -> LabelSet:
    return DATASETS[kind].labels(kind.examples()[0])


@pytest.mark.parametrize("choice", ["all", "scored"])
@every_kind
def test_encoding_is_the_inverse_of_decoding(kind: type[DatasetKind], choice: str) -> None:
    labels = classes_of(kind).select(choice)
    indices = np.arange(len(labels), dtype=np.uint8)[None]
    assert labels.encode(labels.decode(indices)).tolist() == indices.tolist()


@every_kind
def test_every_raw_id_is_of_one_class_or_void(kind: type[DatasetKind]) -> None:
    labels = classes_of(kind)
    for index, label in enumerate(labels.classes):
        assert set(labels.encode(np.array([label.raw_ids], np.uint8)).ravel().tolist()) == {index}
    for raw_id in labels.void_ids:
        assert labels.encode(np.array([[raw_id]], np.uint8)).tolist() == [[IGNORE_INDEX]]


@every_kind
def test_the_classes_of_the_contest_can_be_told_apart(kind: type[DatasetKind]) -> None:
    labels = classes_of(kind)
    assert labels.scored.any()
    assert len(set(labels.names)) == len(labels)
    assert len({label.colour for label in labels.classes}) == len(labels)


@every_kind
def test_a_folder_that_is_not_there_is_named(kind: type[DatasetKind], tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="nowhere"):
        DATASETS[kind].scan(Data(dataset=kind.examples()[0], root=tmp_path / "nowhere", folds=tmp_path / "folds.csv"))


def write_config(folder: Path, dataset: str) -> Path:
    path = folder / "config.yaml"
    kind = json.dumps(DatasetKind.kinds()[dataset].examples()[0].model_dump(mode="json"))
    path.write_text(f"data: {{dataset: {kind}, root: nowhere, folds: nowhere.csv}}\n")
    return path


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that describe a toy city of 12 frames of 96x64, which is built."""
    root = tmp_path_factory.mktemp("toy")
    city = "{kind: toy_city, width: 96, height: 64, train_frames: 10, test_frames: 2}"
    overrides = [f"data.root={root / 'city'}", f"data.folds={root / 'folds.csv'}", f"data.dataset={city}"]
    _ = DataSet(load_data(write_config(root, "toy_city"), overrides)).samples
    return overrides


@every_kind
def test_a_samples_table_is_of_strings_unique_ids_and_files_that_are_there(
    kind: type[DatasetKind], toy: list[str], camvid_root: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, kind.kind_name())
    overrides = tiny_data(kind.kind_name(), Surroundings(config, tmp_path, toy, camvid_root))
    data = DataSet(load_data(config, overrides))
    table = data.samples
    assert len(table) > 0
    assert list(table.columns) == COLUMNS
    assert all(isinstance(cell, str) for row in table.itertuples(index=False) for cell in row)
    assert table["id"].is_unique
    data.check_files()

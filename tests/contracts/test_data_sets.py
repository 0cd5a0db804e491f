"""What every data set promises."""

from pathlib import Path

import numpy as np
import pytest

from foldseg.config.schema import Data
from foldseg.data.datasets import DATASETS, DataSet
from foldseg.data.labels import IGNORE_INDEX
from foldseg.data.samples import COLUMNS
from foldseg.errors import FoldsegError


@pytest.mark.parametrize("choice", ["all", "scored"])
@pytest.mark.parametrize("name", DATASETS)
def test_encoding_is_the_inverse_of_decoding(name: str, choice: str) -> None:
    labels = DATASETS[name].labels.view(choice)
    indices = np.arange(len(labels), dtype=np.uint8)[None]
    assert labels.encode(labels.decode(indices)).tolist() == indices.tolist()


@pytest.mark.parametrize("name", DATASETS)
def test_every_raw_id_is_of_one_class_or_void(name: str) -> None:
    labels = DATASETS[name].labels
    for index, label in enumerate(labels.classes):
        assert set(labels.encode(np.array([label.raw_ids], np.uint8)).ravel().tolist()) == {index}
    for raw_id in labels.void_ids:
        assert labels.encode(np.array([[raw_id]], np.uint8)).tolist() == [[IGNORE_INDEX]]


@pytest.mark.parametrize("name", DATASETS)
def test_the_classes_of_the_contest_can_be_told_apart(name: str) -> None:
    labels = DATASETS[name].labels
    assert labels.scored.any()
    assert len(set(labels.names)) == len(labels)
    assert len({label.colour for label in labels.classes}) == len(labels)


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(FoldsegError, match="nowhere"):
        DATASETS[name].scan(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["camvid", "signate"])
def test_a_samples_table_is_of_strings_unique_ids_and_files_that_are_there(
    name: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(f"{name}_root")
    data = DataSet(Data(dataset=name, root=root, folds=root / "folds.csv"))
    table = data.samples
    assert list(table.columns) == COLUMNS
    assert all(isinstance(cell, str) for row in table.itertuples(index=False) for cell in row)
    assert table["id"].is_unique
    data.check_files()

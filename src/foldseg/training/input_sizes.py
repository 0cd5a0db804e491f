"""Checks, before the first batch and without computing one, that a network can take the images of its views."""

import math
from collections.abc import Collection, Sequence

import pandas as pd

from foldseg.config import Experiment
from foldseg.config.schema import PredictView, TrainView
from foldseg.data.extra_images import pair_source_files
from foldseg.data.fold_data import FoldData
from foldseg.data.reading import read_image_size
from foldseg.errors import FoldsegError
from foldseg.models.input_sizes import check_input
from foldseg.models.network import SegmentationNetwork
from foldseg.training.stages import list_stage_settings
from foldseg.views.geometry import grid_of, shown_size

Size = tuple[int, int]
_USUAL_SIDE = 512
"""The long side that a message proposes, if images are not smaller."""


def check_inputs(network: SegmentationNetwork, experiment: Experiment, fold_data: FoldData) -> None:
    """Raise FoldsegError if a stage's samples cannot be in one batch, or if the network cannot take what it is shown.

    That is a stage's training batch, and an image of the prediction view. If images differ in size, the network is
    tried with the smallest and the largest size.
    """
    train = _find_sizes(fold_data, fold_data.train) | _find_source_sizes(experiment, fold_data)
    for stage in list_stage_settings(experiment):
        assert isinstance(stage.batch_size, int)
        batch = stage.batch_size // stage.devices
        shown = {_train_size(stage.view.train, size, network.stride): size for size in reversed(train)}
        if len(shown) > 1 and batch > 1:
            raise FoldsegError(_describe_mixed_sizes(stage, [(size, train[size]) for size in shown.values()]))
        for size in _smallest_and_largest(shown):
            check_input(network, size, batch, training=True, key="view.train")
    validation = _find_sizes(fold_data, fold_data.validation)
    shown = {_predicted_size(experiment.view.predict, size, network.stride): size for size in validation}
    for size in _smallest_and_largest(shown):
        check_input(network, size, 1, training=False, key="view.predict")


def _find_sizes(fold_data: FoldData, table: pd.DataFrame) -> dict[Size, str]:
    """Return the sizes of the images of a table, each with the id of the first image of that size."""
    sizes: dict[Size, str] = {}
    selected = fold_data.data.sizes[fold_data.data.sizes["id"].isin(table["id"])]
    for row in selected.itertuples():
        sizes.setdefault((int(row.height), int(row.width)), str(row.id))  # type: ignore[arg-type]
    return sizes


def _find_source_sizes(experiment: Experiment, fold_data: FoldData) -> dict[Size, str]:
    """Return the sizes of the images of `sampling.sources`, each with the file of the first image of that size."""
    sizes: dict[Size, str] = {}
    for source in experiment.sampling.sources:
        for image, _ in pair_source_files(source, fold_data.fold, fold_data.held_out):
            sizes.setdefault(read_image_size(image, fold_data.data.pictures), str(image))
    return sizes


def _smallest_and_largest(sizes: Collection[Size]) -> list[Size]:
    """Return the size with the shortest side and the one with the most pixels; one of them if they are the same."""
    return list(dict.fromkeys([min(sizes, key=min), max(sizes, key=math.prod)]))


def _describe_mixed_sizes(stage: Experiment, examples: Sequence[tuple[Size, str]]) -> str:
    """Say which images cannot be put into one batch, and what can be done."""
    first, second = (f"{name} is {size[1]}x{size[0]}" for size, name in examples[:2])
    side = max(max(size) for size, _ in examples)
    return (
        f"view.train: {first}, {second} (width x height): images of {len(examples)} sizes cannot be in one batch of "
        f"{stage.batch_size} with the view {stage.view.train.kind}. Resize them to one size "
        f"(view.train={{kind: resized, long_side: {min(side, _USUAL_SIDE)}}} and the same for view.predict), train on "
        "crops (view.train={kind: crop, size: [256, 256]}), or one by one (batch_size=1)"
    )


def _train_size(view: TrainView, image: Size, stride: int) -> Size:
    """Return the size (height, width) of the samples that are cut from an image of size `image`."""
    return shown_size(view.window or view.resized_size(image), view, stride)


def _predicted_size(view: PredictView, image: Size, stride: int) -> Size:
    """Return the size (height, width) that the network predicts at a time, of an image of size `image`."""
    if view.tiles is not None:
        return view.tiles.size
    return grid_of(image, view, stride).padded

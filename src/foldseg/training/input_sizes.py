"""Checks, before the first batch and without computing one, that a network can take the images of its views."""

from foldseg.config import Experiment
from foldseg.config.schema import PredictView, TrainView
from foldseg.data.fold_data import FoldData
from foldseg.models.input_sizes import check_input
from foldseg.models.network import SegmentationNetwork
from foldseg.training.stages import list_stage_settings
from foldseg.views.geometry import grid_of, padded_size, scale_size


def check_inputs(network: SegmentationNetwork, experiment: Experiment, fold_data: FoldData) -> None:
    """Raise FoldsegError if the network cannot take a stage's training batch, or an image of the prediction view.

    If images differ in size, only the first one is checked.
    """
    image = fold_data.data.size_of(str(fold_data.train["id"].iloc[0]))
    for stage in list_stage_settings(experiment):
        assert isinstance(stage.batch_size, int)
        size = _train_size(stage.view.train, image, network.stride)
        check_input(network, size, stage.batch_size // stage.devices, training=True, key="view.train")
    size = _predicted_size(experiment.view.predict, image, network.stride)
    check_input(network, size, 1, training=False, key="view.predict")


def _train_size(view: TrainView, image: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return the size (height, width) of the samples that are cut from an image of size `image`."""
    size = view.window or scale_size(image, view.resize_factor)
    return padded_size(size, view.side_multiple(stride))


def _predicted_size(view: PredictView, image: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return the size (height, width) that the network predicts at a time, of an image of size `image`."""
    if view.tiles is not None:
        return view.tiles.size
    return grid_of(image, view, stride).padded

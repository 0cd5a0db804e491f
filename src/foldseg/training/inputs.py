"""Can the network take what an experiment's views give it? Asked before the first batch, and without computing one."""

from foldseg.config import Experiment
from foldseg.config.schema import CropView, ResizedView, TilesView, TrainView
from foldseg.data.fold_data import FoldData
from foldseg.models.inputs import check_input
from foldseg.models.network import SegmentationNetwork
from foldseg.training.stages import stage_settings
from foldseg.views.geometry import grid_of, padded_size, scaled, side_multiple


def check_inputs(network: SegmentationNetwork, experiment: Experiment, fold_data: FoldData) -> None:
    """FoldsegError when the network cannot take a batch of a stage's training view, or an image of the prediction view.

    Where images differ in size, the first one stands for all.
    """
    image = fold_data.data.size_of(str(fold_data.train["id"].iloc[0]))
    for stage in stage_settings(experiment):
        assert isinstance(stage.batch_size, int)
        size = _train_size(stage.view.train, image, network.stride)
        check_input(network, size, stage.batch_size // stage.devices, training=True, key="view.train")
    predict = experiment.view.predict
    size = predict.size if isinstance(predict, TilesView) else grid_of(image, predict, network.stride).padded
    check_input(network, size, 1, training=False, key="view.predict")


def _train_size(view: TrainView, image: tuple[int, int], stride: int) -> tuple[int, int]:
    """Size (height, width) of what is trained on of an image of size `image`."""
    if isinstance(view, CropView):
        return padded_size(view.size, stride)
    size = scaled(image, view.factor) if isinstance(view, ResizedView) else image
    return padded_size(size, side_multiple(view, stride))

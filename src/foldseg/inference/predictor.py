"""A run's network that predicts pictures in a view, with or without test-time augmentation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foldseg.config.schema import PredictView, Tta, TtaView
from foldseg.data.datasets import get_label_set
from foldseg.data.frames import Frames
from foldseg.data.labels import Image
from foldseg.inference.tta import TURNS, Merger
from foldseg.models.device import choose_autocast, choose_device
from foldseg.models.factory import check_view
from foldseg.models.folding import fold_batch_norms
from foldseg.models.input_sizes import explained_forward
from foldseg.models.network import SegmentationNetwork
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network
from foldseg.views.activation import SOFTMAX, Activation, choose_activation
from foldseg.views.eval_samples import EvalSample, EvalSamples, eval_sample
from foldseg.views.geometry import pad_batch, padded_grid, predict_probabilities, remove_padding, resize_maps

PLAIN = Tta()
"""No test-time augmentation."""


@dataclass(frozen=True)
class Predictor:
    """A network on its device, the view that it predicts in, and the precision that it computes in."""

    network: SegmentationNetwork
    view: PredictView
    device: torch.device
    autocast: torch.dtype | None
    memory_format: torch.memory_format = torch.contiguous_format
    activation: Activation = SOFTMAX
    """How logits become probabilities."""

    @staticmethod
    def load(
        run: RunFolder, device: str = "auto", view: PredictView | None = None, checkpoint: str = "best"
    ) -> "Predictor":
        """Build the network of a finished run and load its weights.

        `view`: None for the one that the run remembers. FoldsegError when weights are missing or do not fit.
        """
        experiment = run.experiment
        chosen_device = choose_device(device)
        view = view or experiment.view.predict
        network = fold_batch_norms(load_network(run, run.existing_checkpoint(checkpoint)))
        check_view(view, network.stride)
        autocast = choose_autocast(chosen_device, experiment.precision)
        memory_format = torch.channels_last if experiment.channels_last else torch.contiguous_format
        network.to(memory_format=memory_format)
        activation = choose_activation(get_label_set(experiment.data))
        return Predictor(network.to(chosen_device).eval(), view, chosen_device, autocast, memory_format, activation)

    def samples(self, frames: Frames, tta: Tta = PLAIN) -> EvalSamples:
        """Return frames as this predictor takes them, in every scale of `tta`, for a loader."""
        return EvalSamples(frames, self.view, self.network.stride, tta.scales[1:])

    def image(self, picture: Image, tta: Tta = PLAIN) -> Tensor:
        """Return class probabilities (classes, H, W) float32, on the device, of a picture (H, W, 3) uint8 RGB."""
        return self(eval_sample("", picture, None, self.view, self.network.stride, tta.scales[1:]), tta)

    def __call__(self, sample: EvalSample, tta: Tta = PLAIN) -> Tensor:
        """Return class probabilities (classes, H, W) float32 on the image's original grid, on the device."""
        return self.batch([sample], tta)[0]

    @torch.inference_mode()
    def batch(self, samples: Sequence[EvalSample], tta: Tta = PLAIN) -> Tensor:
        """Predict samples on equal grids together: (N, classes, H, W) float32, otherwise as `__call__`."""
        merger = Merger(tta.merge, self.activation)
        for view, maps in self.views(samples, tta):
            if len(tta.views) == 1:
                return maps
            merger.add(maps, view.name)
            del maps  # frees its memory before the next view is predicted
        return merger.result()

    def views(self, samples: Sequence[EvalSample], tta: Tta) -> Iterator[tuple[TtaView, Tensor]]:
        """Yield every view with its probabilities (N, classes, H, W) on the original grid."""
        grid = samples[0].grid
        pictures_at_scale = {1.0: remove_padding(self._batch_of([sample.inputs for sample in samples]), grid)}
        for view in tta.views:
            if view.scale not in pictures_at_scale:
                pictures_at_scale[view.scale] = self._batch_of([sample.scaled[view.scale] for sample in samples])
            yield view, self._predict_view(pictures_at_scale[view.scale], view, grid.original)

    def _batch_of(self, pictures: Sequence[Tensor]) -> Tensor:
        """Put pictures (1, 3, H, W) of one size together, on the predictor's device."""
        batch = pictures[0] if len(pictures) == 1 else torch.cat(list(pictures))
        return batch.to(self.device, non_blocking=True)

    @torch.inference_mode()
    def _predict_view(self, pictures: Tensor, view: TtaView, size: tuple[int, int]) -> Tensor:
        """Turn and shift resized pictures (N, 3, h, w) uint8, predict them, and bring the maps back to `size`."""
        turn, turn_back = TURNS[view.symmetry]
        turned = turn(pictures)
        turned_size = turned.shape[-2], turned.shape[-1]
        # For a network of stride 32, up by 8 is the same as down by 24, and then no pixel is lost
        stride = self.network.stride
        down, right = (pixels if pixels >= 0 else pixels % stride for pixels in view.shift)
        grid = padded_grid(turned_size, turned_size, self.view, stride, (down, right), view.scale)
        padded_maps = predict_probabilities(self.logits, pad_batch(turned, grid), self.view, self.activation)
        maps = remove_padding(padded_maps, grid)
        return resize_maps(turn_back(maps), size)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Return the network's logits, on its device, for images (N, C, H, W) uint8 of a size that it takes."""
        images = images.to(self.device, non_blocking=True).contiguous(memory_format=self.memory_format)
        autocast = torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None)
        with explained_forward(self.network, images), autocast:
            logits: Tensor = self.network(images)
        return logits

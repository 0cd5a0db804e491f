"""A run's network, ready to predict pictures in a view, with or without test-time augmentation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foldseg.config.schema import PredictView, Tta, TtaView
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
from foldseg.views.geometry import pad_batch, padded_grid, probabilities, to_size, without_padding
from foldseg.views.samples import EvalSample, EvalSamples, eval_sample

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

    @staticmethod
    def load(
        run: RunFolder, device: str = "auto", view: PredictView | None = None, checkpoint: str = "best"
    ) -> "Predictor":
        """Build the network of a finished run and load its weights. FoldsegError when they are missing or do not fit.

        `view`: None for the one that the run remembers.
        """
        experiment = run.experiment
        place = choose_device(device)
        view = view or experiment.view.predict
        network = fold_batch_norms(load_network(run, run.existing_checkpoint(checkpoint)))
        check_view(view, network.stride)
        half = choose_autocast(place, experiment.precision)
        memory = torch.channels_last if experiment.channels_last else torch.contiguous_format
        network.to(memory_format=memory)
        return Predictor(network.to(place).eval(), view, place, half, memory)

    def samples(self, frames: Frames, tta: Tta = PLAIN) -> EvalSamples:
        """Return frames as this predictor takes them, for a loader whose workers prepare every scale."""
        return EvalSamples(frames, self.view, self.network.stride, tta.scales[1:])

    def image(self, picture: Image, tta: Tta = PLAIN) -> Tensor:
        """Picture (H, W, 3) uint8 RGB -> class probabilities (classes, H, W) float32 on the predictor's device."""
        return self(eval_sample("", picture, None, self.view, self.network.stride, tta.scales[1:]), tta)

    def __call__(self, sample: EvalSample, tta: Tta = PLAIN) -> Tensor:
        """Class probabilities (classes, H, W) float32 on the image's original grid, on the predictor's device."""
        return self.batch([sample], tta)[0]

    @torch.inference_mode()
    def batch(self, samples: Sequence[EvalSample], tta: Tta = PLAIN) -> Tensor:
        """Samples on equal grids -> (N, classes, H, W) float32, as `__call__`; they are predicted together."""
        merger = Merger(tta.merge)
        for view, maps in self.views(samples, tta):
            if len(tta.views) == 1:
                return maps
            merger.add(maps, view.name)
            del maps  # before the next one is made
        return merger.result()

    def views(self, samples: Sequence[EvalSample], tta: Tta) -> Iterator[tuple[TtaView, Tensor]]:
        """Every view with its probabilities (N, classes, H, W) on the original grid, one after the other."""
        grid = samples[0].grid
        pictures = {1.0: without_padding(self._together([sample.inputs for sample in samples]), grid)}
        for view in tta.views:
            if view.scale not in pictures:
                pictures[view.scale] = self._together([sample.scaled[view.scale] for sample in samples])
            yield view, self._seen(pictures[view.scale], view, grid.original)

    def _together(self, pictures: Sequence[Tensor]) -> Tensor:
        whole = pictures[0] if len(pictures) == 1 else torch.cat(list(pictures))
        return whole.to(self.device, non_blocking=True)

    @torch.inference_mode()
    def _seen(self, pictures: Tensor, view: TtaView, size: tuple[int, int]) -> Tensor:
        """Turn and move resized pictures (N, 3, h, w) uint8, predict them, bring the probabilities back to `size`."""
        turn, turn_back = TURNS[view.symmetry]
        turned = turn(pictures)
        own = turned.shape[-2], turned.shape[-1]
        # Moved up by 8 is, to a network of stride 32, moved down by 24, and then no pixel is lost
        stride = self.network.stride
        down, right = (pixels if pixels >= 0 else pixels % stride for pixels in view.shift)
        grid = padded_grid(own, own, self.view, stride, (down, right))
        maps = without_padding(probabilities(self.logits, pad_batch(turned, grid), self.view), grid)
        return to_size(turn_back(maps), size)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) uint8 of a size that the network takes -> its logits, on the predictor's device."""
        images = images.to(self.device, non_blocking=True).contiguous(memory_format=self.memory_format)
        half = torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None)
        with explained_forward(self.network, images), half:
            logits: Tensor = self.network(images)
        return logits

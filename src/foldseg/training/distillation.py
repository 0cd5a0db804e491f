"""Knowledge distillation: a student learns what teachers predict for every pixel, labelled or not.

The pixel-wise, the pair-wise and the adversarial, holistic term are those of Liu et al., Structured Knowledge
Distillation for Semantic Segmentation, 2019, arXiv:1903.04197. Teachers are finished runs of the same fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from foldseg.config import Experiment
from foldseg.config.schema.distillation import Distillation
from foldseg.data.datasets import get_label_set
from foldseg.data.fold_data import FoldData
from foldseg.data.labels import LabelSet
from foldseg.errors import FoldsegError
from foldseg.models.network import SegmentationNetwork
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network

_PENALTY = 10.0
"""Weight of the penalty on the critic's gradient (Gulrajani et al., 2017, arXiv:1704.00028)."""


def pixel_wise(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean Kullback-Leibler divergence of student and teacher over pixels in nats, times temperature².

    student: logits (N, classes, H, W). teacher: probabilities at that temperature, of the same shape.
    """
    log_probabilities = functional.log_softmax(student.float() / temperature, 1)
    divergence = functional.kl_div(log_probabilities, teacher.float(), reduction="none").sum(1)
    return divergence.mean() * temperature**2


def pair_wise(student: Tensor, teacher: Tensor, node: int = 2) -> Tensor:
    """Return the mean squared difference of student and teacher in the similarity of every two places, in 0..4.

    student, teacher: features (N, C, h, w) and (N, C', h', w'). A place is `node` x `node` cells of the coarser
    features. The similarity is the cosine of the angle between the features of two places.
    """
    height = min(student.shape[-2], teacher.shape[-2])
    width = min(student.shape[-1], teacher.shape[-1])
    size = max(1, height // node), max(1, width // node)
    return functional.mse_loss(_compare_places(student, size), _compare_places(teacher, size))


def _compare_places(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the cosine similarities (N, places, places) of features (N, C, h, w), pooled to `size` places."""
    places = functional.adaptive_max_pool2d(features.float(), size).flatten(2)
    places = functional.normalize(places, dim=1, eps=1e-6)
    return places.transpose(1, 2) @ places


class Critic(nn.Module):
    """A network that scores how much probability maps look like a teacher's, given the images."""

    def __init__(self, classes: int, channels: int = 64, image_channels: int = 3) -> None:
        super().__init__()
        widths = [image_channels + classes, channels, 2 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Return scores (N,) of images (N, C, H, W) uint8 with probabilities (N, classes, H, W)."""
        normalised = images.float() / 127.5 - 1
        scores: Tensor = self.layers(torch.cat([normalised, maps], 1)).mean((1, 2, 3))
        return scores


def critic_loss(critic: Critic, images: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
    """Return the Wasserstein loss of one batch, with gradient penalty: the critic should score the teacher higher.

    images: (N, C, H, W) uint8. student, teacher: probabilities (N, classes, H, W).
    """
    share = torch.rand(len(images), 1, 1, 1, device=images.device)
    mixed = (share * teacher + (1 - share) * student).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(images, mixed).sum(), mixed, create_graph=True)
    penalty = ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return critic(images, student).mean() - critic(images, teacher).mean() + _PENALTY * penalty


@dataclass(frozen=True)
class Teacher:
    """A network that does not learn."""

    network: SegmentationNetwork
    student_classes: Tensor
    """For each class of the teacher the student's class that it belongs to: (teacher's classes,) int64."""


class Distiller:
    """Computes the terms of distillation for a student. It is no module, so that checkpoints do not hold teachers."""

    def __init__(
        self, config: Distillation, teachers: Sequence[Teacher], student: SegmentationNetwork, classes: int
    ) -> None:
        self.config, self.teachers, self._classes = config, list(teachers), classes
        self._features: dict[str, Tensor] = {}
        self._remember_features("student", student)
        self._remember_features("teacher", self.teachers[0].network)
        self.critic: Critic | None = None
        self._optimizer: torch.optim.Optimizer | None = None
        if config.holistic > 0:
            self.critic = Critic(classes, image_channels=student.channels)
            self._optimizer = torch.optim.Adam(self.critic.parameters(), config.critic_lr, betas=(0.0, 0.9))

    def _remember_features(self, name: str, network: SegmentationNetwork) -> None:
        """Keep the last map of a network's encoder in `_features`, whenever it is computed."""

        def remember(_: nn.Module, __: Any, features: Sequence[Tensor]) -> None:
            self._features[name] = features[-1]

        network.net.encoder.register_forward_hook(remember)  # type: ignore[union-attr]

    def to(self, device: torch.device) -> None:
        """Move teachers and critic to a device."""
        self.teachers = [
            Teacher(teacher.network.to(device).eval(), teacher.student_classes.to(device)) for teacher in self.teachers
        ]
        if self.critic is not None:
            self.critic.to(device)

    def compute_loss(self, images: Tensor, logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of the terms that are switched on, and each term, detached.

        images: (N, C, H, W) uint8. logits: (N, classes, H, W) of the student, which must have been computed last.
        """
        targets = self.predict_targets(images)
        config = self.config
        terms: dict[str, tuple[float, Tensor]] = {}
        with torch.autocast(logits.device.type, enabled=False):
            if config.pixel > 0:
                terms["pixel"] = config.pixel, pixel_wise(logits, targets, config.temperature)
            if config.pair > 0:
                student, teacher = self._features["student"], self._features["teacher"]
                terms["pair"] = config.pair, pair_wise(student, teacher, config.pair_node)
            if config.holistic > 0:
                terms["holistic"] = config.holistic, self._compute_holistic(images, logits, targets)
            total = torch.stack([weight * term for weight, term in terms.values()]).sum()
        return total, {f"distil_{name}": term.detach() for name, (_, term) in terms.items()}

    @torch.no_grad()
    def predict_targets(self, images: Tensor) -> Tensor:
        """Return the mean probabilities of the teachers in the student's classes: (N, classes, H, W) float32."""
        total: Tensor | None = None
        for teacher in self.teachers:
            maps = (teacher.network(images).float() / self.config.temperature).softmax(1)
            student_maps = maps.new_zeros(len(maps), self._classes, *maps.shape[-2:])
            student_maps.index_add_(1, teacher.student_classes, maps)
            total = student_maps if total is None else total + student_maps
        assert total is not None
        return total / len(self.teachers)

    def _compute_holistic(self, images: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        """Train the critic for one step; return how little the student's maps look like a teacher's to it."""
        assert self.critic is not None
        maps = logits.float().softmax(1)
        self._train_critic(images, maps.detach(), targets)
        self.critic.requires_grad_(False)
        score = -self.critic(images, maps).mean()
        self.critic.requires_grad_(True)
        return score

    def _train_critic(self, images: Tensor, student: Tensor, teacher: Tensor) -> None:
        assert self.critic is not None
        assert self._optimizer is not None
        self._optimizer.zero_grad()
        critic_loss(self.critic, images, student, teacher).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that resuming needs: that of the critic and of its optimiser."""
        if self.critic is None or self._optimizer is None:
            return {}
        return {"critic": self.critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state that `state_dict` has returned."""
        if self.critic is not None and self._optimizer is not None:
            self.critic.load_state_dict(state["critic"])
            self._optimizer.load_state_dict(state["optimizer"])


def build_distiller(experiment: Experiment, fold_data: FoldData, student: SegmentationNetwork) -> Distiller | None:
    """Build the distiller from the teachers' runs of this fold; None if the experiment has no distillation.

    FoldsegError if a run is missing or not finished, or was trained on other images or folds. Its classes must also be
    mergeable into the student's.
    """
    if experiment.distillation is None:
        return None
    labels = fold_data.labels
    teachers = []
    for name in experiment.distillation.teachers:
        run = RunFolder.open(experiment.runs / name / f"fold_{fold_data.fold}")
        if run.facts["data_fingerprint"] != fold_data.data.fingerprint:
            raise FoldsegError(
                f"distillation.teachers: {run.path} was trained on other images or another division into folds; it may "
                "have seen this fold's validation images"
            )
        if run.experiment.data.pictures.of_images != fold_data.data.pictures.of_images:
            raise FoldsegError(
                f"distillation.teachers: {run.path} was trained on images that were read in another way "
                "(data.pictures.channels, value_range and white_level must be the same)"
            )
        teachers.append(Teacher(load_network(run).requires_grad_(False), _map_classes(run, labels)))
    return Distiller(experiment.distillation, teachers, student, len(labels))


def _map_classes(run: RunFolder, labels: LabelSet) -> Tensor:
    """Return the student's class of each class of a run, (run's classes,) int64. FoldsegError if there is none."""
    try:
        return torch.as_tensor(get_label_set(run.experiment.data).class_indices_in(labels))
    except FoldsegError as error:
        raise FoldsegError(f"distillation.teachers: {run.path}: {error}") from error

"""Knowledge distillation: a student learns what teachers say of every pixel, labelled or not.

After Liu et al., Structured Knowledge Distillation for Semantic Segmentation, 2019, arXiv:1903.04197: a pixel-wise, a
pair-wise and an adversarial, holistic term. Teachers are finished runs of the same fold.
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
from foldseg.models.factory import SegmentationNetwork
from foldseg.runs.run_folder import RunFolder
from foldseg.runs.trained import load_network

_PENALTY = 10.0  # of the critic's gradient (Gulrajani et al., 2017, arXiv:1704.00028)


def pixel_wise(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean Kullback-Leibler divergence in nats of the student from the teacher, over pixels; scaled by temperature².

    student: logits (N, classes, H, W); teacher: its probabilities at that temperature, of the same shape.
    """
    log_p = functional.log_softmax(student.float() / temperature, 1)
    divergence = functional.kl_div(log_p, teacher.float(), reduction="none").sum(1)
    return divergence.mean() * temperature**2


def pair_wise(student: Tensor, teacher: Tensor, node: int = 2) -> Tensor:
    """Mean squared difference of the cosine similarities of every two places, in 0..4.

    Features (N, C, h, w) and (N, C', h', w'); a place is `node` x `node` cells of the coarser of the two.
    """
    height, width = (min(a, b) for a, b in zip(student.shape[-2:], teacher.shape[-2:], strict=True))
    size = max(1, height // node), max(1, width // node)
    return functional.mse_loss(_similarities(student, size), _similarities(teacher, size))


def _similarities(features: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, places, places) cosine similarities."""
    places = functional.adaptive_max_pool2d(features.float(), size).flatten(2)
    places = functional.normalize(places, dim=1, eps=1e-6)
    return places.transpose(1, 2) @ places


class Critic(nn.Module):
    """Scores how much a probability map looks like a teacher's, given the image: (N,) from (N, 3 + classes, H, W)."""

    def __init__(self, classes: int, channels: int = 64) -> None:
        super().__init__()
        widths = [3 + classes, channels, 2 * channels, 4 * channels]
        layers: list[nn.Module] = []
        for inside, outside in pairwise(widths):
            layers += [nn.Conv2d(inside, outside, 4, stride=2, padding=1), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Images (N, 3, H, W) uint8 and probabilities (N, classes, H, W) -> (N,)."""
        scores: Tensor = self.layers(torch.cat([images.float() / 127.5 - 1, maps], 1)).mean((1, 2, 3))
        return scores


def critic_loss(critic: Critic, images: Tensor, student: Tensor, teacher: Tensor) -> Tensor:
    """Wasserstein loss with gradient penalty of one batch: the critic should score the teacher's maps higher."""
    share = torch.rand(len(images), 1, 1, 1, device=images.device)
    between = (share * teacher + (1 - share) * student).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(images, between).sum(), between, create_graph=True)
    penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
    return critic(images, student).mean() - critic(images, teacher).mean() + _PENALTY * penalty


@dataclass(frozen=True)
class Teacher:
    """A network that does not learn, and for each of its classes the student's class that it belongs to."""

    network: SegmentationNetwork
    into: Tensor  # (teacher's classes,) int64


class Distiller:
    """The terms of distillation for a student. Not a module: teachers do not belong into its checkpoints."""

    def __init__(
        self, config: Distillation, teachers: Sequence[Teacher], student: SegmentationNetwork, classes: int
    ) -> None:
        self.config, self.teachers, self._classes = config, list(teachers), classes
        self._features: dict[str, Tensor] = {}
        self._watch("student", student)
        self._watch("teacher", self.teachers[0].network)
        self.critic: Critic | None = None
        self._optimizer: torch.optim.Optimizer | None = None
        if config.holistic > 0:
            self.critic = Critic(classes)
            self._optimizer = torch.optim.Adam(self.critic.parameters(), config.critic_lr, betas=(0.0, 0.9))

    def _watch(self, name: str, network: SegmentationNetwork) -> None:
        def remember(_: nn.Module, __: Any, features: Sequence[Tensor]) -> None:
            self._features[name] = features[-1]

        network.net.encoder.register_forward_hook(remember)  # type: ignore[union-attr]

    def to(self, device: torch.device) -> None:
        """Move teachers and critic."""
        for number, teacher in enumerate(self.teachers):
            self.teachers[number] = Teacher(teacher.network.to(device).eval(), teacher.into.to(device))
        if self.critic is not None:
            self.critic.to(device)

    def loss(self, images: Tensor, logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted sum of the terms that are switched on, and each of them, detached.

        images (N, 3, H, W) uint8; logits (N, classes, H, W) of the student, which has just seen them.
        """
        taught = self.teach(images)
        with torch.autocast(logits.device.type, enabled=False):
            weights = {"pixel": self.config.pixel, "pair": self.config.pair, "holistic": self.config.holistic}
            terms = {name: self._term(name, images, logits, taught) for name, weight in weights.items() if weight > 0}
            total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return total, {f"distil_{name}": term.detach() for name, term in terms.items()}

    @torch.no_grad()
    def teach(self, images: Tensor) -> Tensor:
        """Mean probabilities of the teachers in the student's classes: (N, classes, H, W) float32."""
        total = torch.zeros(())
        for teacher in self.teachers:
            maps = (teacher.network(images).float() / self.config.temperature).softmax(1)
            merged = maps.new_zeros(len(maps), self._classes, *maps.shape[-2:]).index_add_(1, teacher.into, maps)
            total = merged if total.ndim == 0 else total + merged
        return total / len(self.teachers)

    def _term(self, name: str, images: Tensor, logits: Tensor, taught: Tensor) -> Tensor:
        if name == "pixel":
            return pixel_wise(logits, taught, self.config.temperature)
        if name == "pair":
            return pair_wise(self._features["student"], self._features["teacher"], self.config.pair_node)
        assert self.critic is not None
        maps = logits.float().softmax(1)
        self._teach_critic(images, maps.detach(), taught)
        self.critic.requires_grad_(False)
        score = -self.critic(images, maps).mean()
        self.critic.requires_grad_(True)
        return score

    def _teach_critic(self, images: Tensor, student: Tensor, teacher: Tensor) -> None:
        assert self.critic is not None
        assert self._optimizer is not None
        self._optimizer.zero_grad()
        critic_loss(self.critic, images, student, teacher).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs: the critic and its optimiser."""
        if self.critic is None or self._optimizer is None:
            return {}
        return {"critic": self.critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        if self.critic is not None and self._optimizer is not None:
            self.critic.load_state_dict(state["critic"])
            self._optimizer.load_state_dict(state["optimizer"])


def build_distiller(experiment: Experiment, fold_data: FoldData, student: SegmentationNetwork) -> Distiller | None:
    """Open the teachers' runs of this fold; None where nothing is distilled.

    FoldsegError when one is missing, unfinished, of other images or folds, or has classes that the student's cannot be
    made of.
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
        teachers.append(Teacher(load_network(run).requires_grad_(False), _into(run, labels)))
    return Distiller(experiment.distillation, teachers, student, len(labels))


def _into(run: RunFolder, labels: LabelSet) -> Tensor:
    try:
        return torch.as_tensor(get_label_set(run.experiment.data).class_indices_in(labels))
    except FoldsegError as error:
        raise FoldsegError(f"distillation.teachers: {run.path}: {error}") from error

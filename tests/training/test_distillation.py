"""Distillation: each term against a slow version, and that teachers, critic and student learn what they should."""

import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from foldseg.config import Experiment, load_data, load_experiment
from foldseg.config.schema import Model
from foldseg.config.schema.distillation import Distillation
from foldseg.data.folds_file import make_folds_file
from foldseg.errors import FoldsegError
from foldseg.models.factory import build_network
from foldseg.models.network import SegmentationNetwork
from foldseg.training.distillation import Critic, Distiller, Teacher, critic_loss, pair_wise, pixel_wise
from foldseg.training.fit import train_fold
from foldseg.training.module import FoldModule

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "configs/experiments/toy_full.yaml"
TINY = Model(
    architecture="unet",
    encoder="tu-resnet10t",
    encoder_weights=None,
    options={"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
)


def network(classes: int, seed: int) -> SegmentationNetwork:
    torch.manual_seed(seed)
    return build_network(TINY, classes)


def images(number: int = 2) -> Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (number, 3, 32, 48), dtype=torch.uint8)


def distiller(classes: int = 3, **weights: float) -> tuple[Distiller, SegmentationNetwork]:
    student = network(classes, 1)
    teacher = Teacher(network(classes, 2).eval().requires_grad_(False), torch.arange(classes))
    config = Distillation(teachers=("a",), **{"pixel": 0.0, "pair": 0.0, **(weights or {"pixel": 1.0})})  # type: ignore[arg-type]
    return Distiller(config, [teacher], student, classes), student


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_pixel_term_is_the_divergence_of_every_pixel(temperature: float) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 4, 5), (torch.randn(2, 3, 4, 5) / temperature).softmax(1)
    slow = 0.0
    for n in range(2):
        for y in range(4):
            for x in range(5):
                q = (student[n, :, y, x] / temperature).softmax(0)
                p = teacher[n, :, y, x]
                slow += sum(float(a) * math.log(float(a) / float(b)) for a, b in zip(p, q, strict=True))
    assert float(pixel_wise(student, teacher, temperature)) == pytest.approx(temperature**2 * slow / 40, rel=1e-4)
    assert float(pixel_wise(teacher.log() * temperature, teacher, temperature)) == pytest.approx(0, abs=1e-6)


def test_pair_term_compares_the_likeness_of_places() -> None:
    """Four places of one cell; the student's are all alike, the teacher's first is at right angles to the others."""
    student = torch.ones(1, 2, 2, 2)
    teacher = torch.zeros(1, 3, 2, 2)
    teacher[0, 0] = 1.0
    teacher[0, :, 0, 0] = torch.tensor([0.0, 5.0, 0.0])
    assert float(pair_wise(student, teacher, node=1)) == pytest.approx(6 / 16)
    assert float(pair_wise(student * 7, student, node=1)) == pytest.approx(0, abs=1e-6)
    assert float(pair_wise(torch.rand(1, 2, 5, 7), torch.rand(1, 4, 9, 3), node=2)) > 0  # sizes need not agree


def test_a_finer_teacher_is_merged_and_several_are_averaged() -> None:
    student = network(2, 0)
    first = Teacher(network(3, 1).eval(), torch.tensor([1, 0, 1]))
    second = Teacher(network(2, 2).eval(), torch.tensor([0, 1]))
    both = Distiller(Distillation(teachers=("a", "b")), [first, second], student, 2).predict_targets(images())
    with torch.no_grad():
        a, b = (teacher.network(images()).softmax(1) for teacher in (first, second))
    expected = (torch.stack([a[:, 1], a[:, 0] + a[:, 2]], 1) + b) / 2
    assert torch.allclose(both, expected, atol=1e-6)
    assert torch.allclose(both.sum(1), torch.ones(2, 32, 48), atol=1e-5)


@pytest.mark.parametrize("weights", [{"pixel": 10.0}, {"pair": 10.0}, {"holistic": 0.1}, {"pixel": 1.0, "pair": 2.0}])
def test_every_term_reaches_the_student_and_no_teacher(weights: dict[str, float]) -> None:
    taught, student = distiller(**weights)
    before = [p.clone() for p in taught.teachers[0].network.parameters()]
    total, terms = taught.compute_loss(images(), student(images()))
    total.backward()
    assert set(terms) == {f"distil_{name}" for name in weights}
    assert float(total.detach()) == pytest.approx(
        sum(weights[k.removeprefix("distil_")] * float(v) for k, v in terms.items())
    )
    assert sum(float(p.grad.abs().sum()) for p in student.parameters() if p.grad is not None) > 0
    after = taught.teachers[0].network.parameters()
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, after, strict=True))
    assert not any("teacher" in key or "critic" in key for key in student.state_dict())


def test_a_student_comes_nearer_to_its_teacher() -> None:
    taught, student = distiller(pixel=1.0)
    optimizer = torch.optim.Adam(student.parameters(), 0.01)
    losses = []
    for _ in range(25):
        loss, _ = taught.compute_loss(images(), student(images()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_the_critic_learns_to_tell_maps_apart() -> None:
    torch.manual_seed(0)
    critic = Critic(2, channels=8)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.0, 0.9))
    real = torch.zeros(4, 2, 32, 32)
    real[:, 0] = 1.0
    fake = torch.full((4, 2, 32, 32), 0.5)
    pictures = torch.zeros(4, 3, 32, 32, dtype=torch.uint8)
    for _ in range(30):
        optimizer.zero_grad()
        critic_loss(critic, pictures, fake, real).backward()
        optimizer.step()
    assert float(critic(pictures, real).mean()) > float(critic(pictures, fake).mean()) + 0.1


def test_the_critic_goes_on_where_it_was() -> None:
    """Two steps in one go equal one step, saved and loaded, and another."""

    def step(taught: Distiller, student: SegmentationNetwork, number: int) -> None:
        torch.manual_seed(number)  # as training does before every step
        taught.compute_loss(images(), student(images()))

    whole, student = distiller(holistic=0.1)
    start = {k: v.clone() for k, v in whole.critic.state_dict().items()}  # type: ignore[union-attr]
    step(whole, student, 1)
    step(whole, student, 2)
    parts = [distiller(holistic=0.1) for _ in range(2)]
    parts[0][0].critic.load_state_dict(start)  # type: ignore[union-attr]
    step(*parts[0], 1)
    parts[1][0].load_state_dict(parts[0][0].state_dict())
    parts[1][1].load_state_dict(parts[0][1].state_dict())  # batch norm statistics
    step(*parts[1], 2)
    a, b = (taught.critic.state_dict() for taught in (whole, parts[1][0]))  # type: ignore[union-attr]
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], start[key]) for key in a)


def test_no_teachers_and_no_terms_are_refused() -> None:
    with pytest.raises(ValueError, match="teachers"):
        Distillation(teachers=())
    with pytest.raises(ValueError, match="at least one of pixel, pair, holistic"):
        Distillation(teachers=("a",), pixel=0, pair=0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that train on 12 frames of 96x64, and a finished teacher for fold 0."""
    root = tmp_path_factory.mktemp("distillation")
    overrides = [
        f"data.root={root / 'city'}",
        f"data.folds={root / 'folds.csv'}",
        "data.dataset={kind: toy_city, width: 96, height: 64, train_frames: 12, test_frames: 2, seed: 3}",
        *("workers=0", "validate_every=1", "early_stopping=null", "schedule.epochs=2", f"runs={root / 'runs'}"),
    ]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", overrides[:3]))
    train_fold(load_experiment(CONFIG, [*overrides, "name=teacher", "data.labels=all"]), 0)
    return overrides


def student(toy: list[str], name: str, **settings: object) -> Experiment:
    terms = {"teachers": ["teacher"], "holistic": 0.1, **settings}
    text = ", ".join(f"{key}: {value}" for key, value in terms.items()).replace("'", "")
    return load_experiment(CONFIG, [*toy, f"name={name}", f"distillation={{{text}}}"])


def weights(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_student_is_trained_and_resumed_like_any_other(toy, monkeypatch) -> None:
    """A teacher of 20 classes, a student of 5; killed in its second epoch, its critic goes on, too."""
    whole = train_fold(student(toy, "whole"), 0)
    log = pd.read_csv(whole.metrics)
    assert (log[["train_distil_pixel", "train_distil_pair"]] > 0).all(axis=None)
    assert log["train_distil_holistic"].notna().all()
    assert not any("teacher" in key or "critic" in key for key in weights(whole.last))

    start = FoldModule.on_train_epoch_start

    def killed(module: FoldModule) -> None:
        if module.current_epoch == 1:
            raise KeyboardInterrupt
        start(module)

    monkeypatch.setattr(FoldModule, "on_train_epoch_start", killed)
    with pytest.raises(KeyboardInterrupt):
        train_fold(student(toy, "killed"), 0)
    monkeypatch.setattr(FoldModule, "on_train_epoch_start", start)
    resumed = train_fold(student(toy, "killed"), 0)
    ours, theirs = weights(whole.last), weights(resumed.last)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_teachers_that_may_have_seen_the_validation_images_are_refused(toy, tmp_path) -> None:
    with pytest.raises(FoldsegError, match=r"teacher/fold_1: no such run"):
        train_fold(student(toy, "other_fold"), 1)
    other = [part.replace("folds.csv", "other.csv") if part.startswith("data.folds") else part for part in toy]
    make_folds_file(load_data(REPOSITORY / "configs/data/toy_city.yaml", [*other[:3], "data.fold_seed=5"]))
    with pytest.raises(FoldsegError, match=r"distillation\.teachers: .* another division into folds"):
        train_fold(student([*other, "data.fold_seed=5"], "other_division"), 0)


def test_a_teacher_whose_classes_do_not_fit_is_refused(toy) -> None:
    coarse = load_experiment(CONFIG, [*toy, "name=coarse", "data.labels=[car]", "schedule.epochs=1"])
    train_fold(coarse, 0)
    with pytest.raises(FoldsegError, match=r"distillation\.teachers: .*coarse/fold_0: background is not within one of"):
        train_fold(student(toy, "misfit", teachers=["coarse"]), 0)


def test_a_teacher_that_reads_images_in_another_way_is_refused(toy) -> None:
    experiment = load_experiment(
        CONFIG, [*toy, "name=grey", "data.pictures.channels=1", "distillation={teachers: [teacher]}"]
    )
    with pytest.raises(
        FoldsegError, match=r"distillation.teachers: .*teacher/fold_0 was trained on images that were read"
    ):
        train_fold(experiment, 0)

"""Probabilities of overlapping classes in stores: they do not sum to 1, and 0.5 stays on its side."""

import numpy as np
import torch

from foldseg.inference.class_rule import EXCLUSIVE, OVERLAPPING
from foldseg.inference.enlargement import Enlargement, planes_of_logits
from foldseg.inference.map_file import decode_planes, encode_logits
from foldseg.inference.quantise import quantise, quantise_by_torch
from foldseg.views.activation import SIGMOID

JUST_BELOW = np.nextafter(np.float32(0.5), np.float32(0))


def test_the_mask_is_the_same_before_and_after_rounding() -> None:
    rng = np.random.default_rng(0)
    maps = rng.random((3, 40, 50)).astype(np.float32)
    maps[:, 0, :4] = [0.0, JUST_BELOW, 0.5, 1.0]
    planes = OVERLAPPING.quantise(maps)
    assert planes[0, 0, :4].tolist() == [0, 127, 128, 255]
    assert np.array_equal(OVERLAPPING.decide(planes, 255.0), OVERLAPPING.decide(maps))
    assert np.abs(OVERLAPPING.restore(planes) - maps).max() <= 0.5 / 255 + 1e-6
    assert np.array_equal(OVERLAPPING.decide(maps) >> 1 & 1 == 1, maps[1] >= 0.5)


def test_torch_and_numpy_round_and_decide_alike() -> None:
    maps = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    maps[:, :, 0, :3] = torch.tensor([float(JUST_BELOW), 0.5, 1.0])
    planes = quantise(maps, SIGMOID)
    for image, of_image, mask in zip(maps, planes, SIGMOID.decide(maps), strict=True):
        assert np.abs(of_image.numpy().astype(int) - OVERLAPPING.quantise(image.numpy())).max() <= 1
        assert np.array_equal(mask.numpy(), OVERLAPPING.decide(image.numpy()))
        assert np.array_equal(mask.numpy(), OVERLAPPING.decide(of_image.numpy(), 255.0))
    on_gpu = SIGMOID.from_alternatives(quantise_by_torch(SIGMOID.to_alternatives(maps)))
    assert np.array_equal(on_gpu.numpy() >= 128, maps.numpy() >= 0.5)


def test_logits_in_a_store_become_sigmoids() -> None:
    logits = np.random.default_rng(0).normal(0, 4, (3, 6, 7)).astype(np.float16)
    logits[0, 0, :3] = [0, -60000, 60000]
    enlargement = Enlargement((6, 7), (6, 7), False, overlapping=True)
    planes = planes_of_logits(logits, enlargement)
    expected = 1 / (1 + np.exp(-logits.astype(np.float64).clip(-700, 700)))
    assert np.abs(planes / 255 - expected).max() <= 0.51 / 255
    assert planes[0, 0, :3].tolist() == [128, 0, 255]
    assert np.array_equal(decode_planes(encode_logits(logits, enlargement)), planes)


def test_alternatives_sum_to_one_and_come_back() -> None:
    maps = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    for rule in (EXCLUSIVE, OVERLAPPING):
        given = maps / maps.sum(0) if rule is EXCLUSIVE else maps
        alternatives = rule.to_alternatives(given)
        assert np.allclose(alternatives.sum(0), 1)
        assert np.array_equal(rule.from_alternatives(alternatives), given)

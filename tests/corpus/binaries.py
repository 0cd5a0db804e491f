"""Bad checkpoints, arrays, prediction maps and exported networks."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard

from corpus.bad import Bad, flipped, of_any_kind, of_bytes

CANARY = "canary"
"""A file that code in a pickle would write into the working folder."""


class Payload:
    """Unpickled, it writes the canary."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path(CANARY),)


def of_torch(good: bytes) -> Iterator[Bad]:
    """Yield bad files of torch.save, whatever they should hold."""
    yield from of_any_kind(good)
    yield of_bytes("torch_bits_flipped", flipped(good, 0, 200))
    yield of_bytes("torch_pickle_with_code", pickle.dumps({"state_dict": Payload()}))
    yield of_bytes("torch_archive_with_code", _repickled(good, pickle.dumps({"state_dict": Payload()})))
    yield of_bytes("torch_pickle_of_garbage", _repickled(good, b"\x80\x02garbage."))
    yield of_bytes("torch_without_tensors", _without(good, "/data/"))
    yield of_bytes("torch_bomb", _inflated(good))
    for name, content in {
        "nothing": None,
        "a_number": 5,
        "a_list": [1, 2],
        "a_tensor": torch.zeros(3),
        "a_text": "state_dict",
        "an_empty_mapping": {},
        "number_keys": {1: torch.zeros(3), 2: torch.zeros(3)},
    }.items():
        yield of_bytes(f"torch_{name}", dumped(content))


def of_weights(good: bytes) -> Iterator[Bad]:
    """Yield bad files of an encoder's weights: a mapping of tensors."""
    yield from of_torch(good)
    state = torch.load(io.BytesIO(good), weights_only=True)
    yield from (of_bytes(f"weights_{name}", dumped(content)) for name, content in _states(state).items())


def of_checkpoint(good: bytes) -> Iterator[Bad]:
    """Yield bad checkpoints of a run: a mapping whose `state_dict` is a mapping of tensors."""
    yield from of_torch(good)
    content = torch.load(io.BytesIO(good), weights_only=True)
    for name, state in _states(content["state_dict"]).items():
        yield of_bytes(f"checkpoint_{name}", dumped({**content, "state_dict": state}))
    for name, state in {"nothing": None, "a_list": [1], "a_text": "x", "empty": {}}.items():
        yield of_bytes(f"checkpoint_state_{name}", dumped({**content, "state_dict": state}))
    yield of_bytes("checkpoint_without_state", dumped({k: v for k, v in content.items() if k != "state_dict"}))
    for name, facts in {"nothing": None, "a_text": "x", "other_classes": {"classes": ["a"]}}.items():
        yield of_bytes(f"checkpoint_facts_{name}", dumped({**content, "foldseg": facts}))


def _states(state: dict[str, torch.Tensor]) -> dict[str, dict[str, Any]]:
    first = next(name for name, value in state.items() if value.ndim > 1)
    return {
        "one_tensor_missing": {name: value for name, value in state.items() if name != first},
        "one_tensor_of_another_shape": {**state, first: torch.zeros(3)},
        "one_tensor_a_number": {**state, first: 5},
        "one_tensor_a_text": {**state, first: "x"},
        "all_nan": {n: torch.full_like(v, torch.nan) if v.is_floating_point() else v for n, v in state.items()},
    }


def dumped(content: Any) -> bytes:
    """Return what torch.save writes."""
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def _entries(archive: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for name in opened.namelist():
            yield name, opened.read(name)


def _packed(entries: Iterator[tuple[str, bytes]] | list[tuple[str, bytes]], how: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as opened:
        for name, content in entries:
            opened.writestr(zipfile.ZipInfo(name), content, how)
    return stream.getvalue()


def _repickled(archive: bytes, content: bytes) -> bytes:
    return _packed((name, content if name.endswith("data.pkl") else old) for name, old in _entries(archive))


def _without(archive: bytes, part: str) -> bytes:
    return _packed([(name, content) for name, content in _entries(archive) if part not in name])


def _inflated(archive: bytes) -> bytes:
    """Put 200 MB of zeros, compressed, where a tensor's numbers are."""
    zeros = bytes(200_000_000)
    return _packed([(n, zeros if n.endswith("/data/0") else c) for n, c in _entries(archive)], zipfile.ZIP_DEFLATED)


def of_arrays(good: bytes) -> Iterator[Bad]:
    """Yield bad .npz archives of what was fitted."""
    yield from of_any_kind(good)
    yield of_bytes("arrays_with_code", _array_of(np.array([Payload()], object)))
    yield of_bytes("arrays_one_array", _npy(np.zeros(3)))
    for name, array in {"text": np.array(["x"]), "nan": np.full(5, np.nan), "scalar": np.array(5)}.items():
        yield of_bytes(f"arrays_{name}", _array_of(array, _names(good)))
    yield of_bytes("arrays_of_other_names", _array_of(np.zeros(3), ["nothing"]))
    yield of_bytes("arrays_number_missing", _array_of(np.zeros(3), ["x/y"]))
    yield of_bytes("arrays_with_garbage", _packed([(f"{name}.npy", b"garbage") for name in _names(good)]))


def _names(good: bytes) -> list[str]:
    with np.load(io.BytesIO(good)) as arrays:
        return list(arrays)


def _array_of(array: np.ndarray, names: tuple[str, ...] | list[str] = ("0/bias",)) -> bytes:
    return _packed([(f"{name}.npy", _npy(array)) for name in names])


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def of_map(good: bytes) -> Iterator[Bad]:
    """Yield bad maps of a prediction store: a magic word, the length of a header, a header in JSON, a zstd frame."""
    yield from of_any_kind(good)
    magic, start = good[:4], 8 + struct.unpack("<I", good[4:8])[0]
    header, body = json.loads(good[8:start]), good[start:]

    def packed(described: bytes, content: bytes = body, length: int | None = None, word: bytes = magic) -> bytes:
        length = len(described) if length is None else length
        return word + struct.pack("<I", length) + described + content

    old = json.dumps(header).encode()
    yield of_bytes("map_of_another_kind", packed(old, word=b"FSP9"))
    yield of_bytes("map_header_too_long", packed(old, length=2**32 - 1))
    yield of_bytes("map_header_too_short", packed(old, length=3))
    yield of_bytes("map_bits_flipped", packed(old, flipped(body)))
    yield of_bytes("map_body_missing", packed(old, b""))
    for name, change in {
        "fewer_classes": {"classes": 1},
        "more_classes": {"classes": 9},
        "other_size": {"height": header["width"], "width": header["height"]},
        "no_pixels": {"height": 0},
        "negative": {"height": -1},
        "huge": {"height": 10**9, "width": 10**9},
        "text": {"height": "x"},
        "nothing": {"height": None},
    }.items():
        yield of_bytes(f"map_{name}", packed(json.dumps({**header, **change}).encode()))
    for name, described in {"list": b"[]", "deep": b"[" * 100_000, "text": b"words", "empty": b"{}"}.items():
        yield of_bytes(f"map_header_{name}", packed(described))
    planes = np.full((header["classes"], header["height"] + 1, header["width"]), 255, np.uint8)
    frame = zstandard.ZstdCompressor().compress(planes.tobytes())
    one_more = json.dumps({**header, "height": header["height"] + 1}).encode()
    yield of_bytes("map_one_row_more", packed(one_more, frame))
    yield of_bytes("map_bomb", packed(old, _zeros()))


@cache
def _zeros() -> bytes:
    """Return 2 GB, in 64 kB of zstd."""
    return zstandard.ZstdCompressor().compress(bytes(2_000_000_000))


def of_onnx(good: bytes) -> Iterator[Bad]:
    """Yield bad exported files."""
    import onnx

    yield from of_any_kind(good)
    yield of_bytes("onnx_bits_flipped", flipped(good, 0, 200))
    model = onnx.load_from_string(good)
    facts = json.loads(model.metadata_props[0].value)

    def with_facts(text: str | None) -> bytes:
        copy = onnx.ModelProto.FromString(good)
        if text is None:
            del copy.metadata_props[:]
        else:
            copy.metadata_props[0].value = text
        return copy.SerializeToString()

    yield of_bytes("onnx_of_another_program", with_facts(None))
    yield of_bytes("onnx_facts_text", with_facts("words"))
    yield of_bytes("onnx_facts_deep", with_facts("[" * 100_000))
    for name, change in {
        "classes_missing": {"classes": facts["classes"][:-1]},
        "no_classes": {"classes": []},
        "class_twice": {"classes": [facts["classes"][0]] * len(facts["classes"])},
        "stride_0": {"stride": 0},
        "stride_huge": {"stride": 10**9},
        "view_unknown": {"view": {"kind": "sideways"}},
        "colour_nan": {"classes": [{**facts["classes"][0], "colour": [float("nan")] * 3}, *facts["classes"][1:]]},
        "unknown_key": {"unknown": 1},
    }.items():
        yield of_bytes(f"onnx_{name}", with_facts(json.dumps({**facts, **change})))
    other = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["a"], ["b"])],
            "other",
            [onnx.helper.make_tensor_value_info("a", 1, [1])],
            [onnx.helper.make_tensor_value_info("b", 1, [1])],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    yield of_bytes("onnx_of_another_network", other.SerializeToString())
    onnx.helper.set_model_props(other, {"foldseg": json.dumps(facts)})
    yield of_bytes("onnx_network_of_other_inputs", other.SerializeToString())


def of_safetensors(good: bytes) -> Iterator[Bad]:
    """Yield bad .safetensors: the length of a header, a header in JSON, numbers."""
    yield from of_any_kind(good)
    length = struct.unpack("<Q", good[:8])[0]
    header = json.loads(good[8 : 8 + length])
    body = good[8 + length :]
    first = next(name for name in header if name != "__metadata__")

    def with_header(content: bytes, stated: int | None = None) -> bytes:
        return struct.pack("<Q", len(content) if stated is None else stated) + content + body

    whole = json.dumps(header).encode()
    yield of_bytes("safetensors_header_too_long", with_header(whole, 2**63))
    yield of_bytes("safetensors_header_of_4_gb", with_header(whole, 2**32))
    yield of_bytes("safetensors_header_text", with_header(b"words"))
    yield of_bytes("safetensors_header_deep", with_header(b"[" * 100_000))
    yield of_bytes("safetensors_header_empty", with_header(b"{}"))
    for name, change in {
        "offsets": {"data_offsets": [0, 10**15]},
        "shape": {"shape": [10**9, 10**9]},
        "dtype": {"dtype": "F99"},
    }.items():
        yield of_bytes(
            f"safetensors_{name}", with_header(json.dumps({**header, first: {**header[first], **change}}).encode())
        )

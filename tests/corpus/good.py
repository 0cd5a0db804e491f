"""A small good file of every kind, made without training: what bad files are made of by hand."""

import io
import json
import struct
from collections.abc import Callable

import cv2
import numpy as np
import torch
import yaml
import zstandard

from corpus.binaries import dumped
from corpus.pictures import encoded, picture
from corpus.texts import CVAT

_STATE = {"network.net.encoder.conv.weight": torch.ones(2, 3, 3, 3), "network.net.encoder.conv.bias": torch.ones(2)}
_FACTS = {"fold": 0, "classes": ["background", "car"], "data_fingerprint": "0" * 16}
_DATA = {"dataset": "camvid", "root": "camvid", "folds": "folds.csv", "fold_count": 2}


def _photo() -> bytes:
    return encoded(cv2.resize(picture(12, 8), (96, 64), interpolation=cv2.INTER_CUBIC), ".jpg")


def _mask() -> bytes:
    return encoded(picture(96, 64, 1) % np.uint8(12))


def _submission() -> bytes:
    return json.dumps({"test_000.jpg": {"car": {"3": [[1, 5], [9, 20]], "4": [[2, 6]]}}, "test_001.jpg": {}}).encode()


def _folds() -> bytes:
    rows = [f"frame_{number},{number % 2},group_{number // 4 * 2 + number % 2},sunny" for number in range(12)]
    return "\n".join(["id,fold,group,stratum", *rows, ""]).encode()


def _map() -> bytes:
    header = json.dumps({"classes": 2, "height": 4, "width": 16}).encode()
    return b"FSP2" + struct.pack("<I", len(header)) + header + zstandard.ZstdCompressor().compress(bytes(128))


def _arrays() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{"0/bias": np.zeros(2)})
    return stream.getvalue()


def _onnx() -> bytes:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("images", "probabilities")]
    node = helper.make_node("Identity", ["images"], ["probabilities"])
    model = helper.make_model(helper.make_graph([node], "good", ends[:1], ends[1:]))
    classes = [{"name": name, "colour": [0, 0, 0], "raw_ids": [index]} for index, name in enumerate(_FACTS["classes"])]
    helper.set_model_props(model, {"foldseg": json.dumps({"classes": classes, "stride": 1})})
    return model.SerializeToString()


def _safetensors() -> bytes:
    from safetensors.torch import save

    return save(_STATE)


def _video() -> bytes:
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(96, 64), format="rgb24")))
        container.mux(video.encode())
    return stream.getvalue()


GOOD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "photo": (".jpg", _photo),
    "frame": (".jpg", _photo),
    "mask": (".png", _mask),
    "video": (".mp4", _video),
    "yaml": (".yaml", lambda: yaml.safe_dump({"data": _DATA, "seed": 0}).encode()),
    "json": (".json", lambda: json.dumps(_FACTS).encode()),
    "submission": (".json", _submission),
    "csv": (".csv", lambda: b"epoch,train_loss,val_loss\n0,0.9,0.8\n1,0.7,0.6\n"),
    "folds": (".csv", _folds),
    "list": (".txt", lambda: b"/SegNet/CamVid/train/a_1.png /SegNet/CamVid/trainannot/a_1.png\n"),
    "xml": (".xml", lambda: CVAT),
    "checkpoint": (".ckpt", lambda: dumped({"state_dict": _STATE, "foldseg": {"classes": _FACTS["classes"]}})),
    "weights": (".pth", lambda: dumped(_STATE)),
    "safetensors": (".safetensors", _safetensors),
    "map": (".prob", _map),
    "arrays": (".npz", _arrays),
    "onnx": (".onnx", _onnx),
}
"""Kind -> its suffix, and a function that makes one."""

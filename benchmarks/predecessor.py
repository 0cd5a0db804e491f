"""What a user has without foldseg: plain versions of what the predecessor and the organisers' scripts do.

Written anew, from a description. Nothing is slowed down on purpose. The organisers' own converter looks only at the
pixels that are of a category; its time lies between those of `walk_pixels` on arrays and on lists.
"""

import json
from collections.abc import Callable

import numpy as np

SIDE, OFFSETS = 512, 5  # of `vote_per_offset`: pixels of a window, and maps

Rows = dict[str, list[list[int]]]
Image = dict[str, Rows]


def walk_pixels(mask: np.ndarray, categories: dict[str, int], listed: bool = False) -> str:
    """Label map (H, W) -> JSON of an image: every pixel of every row is looked at, once for each category.

    Pixels are read from the array as they are, or, `listed`, from lists of Python numbers.
    """
    height, width = mask.shape
    lines = mask.tolist() if listed else mask
    image: Image = {}
    for category, index in categories.items():
        rows: Rows = {}
        for y in range(height):
            line, segments, start = lines[y], [], None
            for x in range(width):
                if line[x] == index:
                    if start is None:
                        start = x
                elif start is not None:
                    segments.append([start, x - 1])
                    start = None
            if start is not None:
                segments.append([start, width - 1])
            if segments:
                rows[str(y)] = segments
        if rows:
            image[category] = rows
    return json.dumps(image, separators=(",", ":"))


def walk_score(truth: dict[str, Image], prediction: dict[str, Image]) -> float:
    """Mean over images of the mean IoU of the categories in the truth: each pair of segments of a row is compared."""
    total = 0.0
    for name, categories in truth.items():
        ious = [_iou(rows, prediction[name].get(category, {})) for category, rows in categories.items()]
        total += sum(ious) / len(ious)
    return total / len(truth)


def _iou(truth: Rows, prediction: Rows) -> float:
    shared = 0
    for row, segments in truth.items():
        others = prediction.get(row, [])
        for first, last in segments:
            for other_first, other_last in others:
                overlap = min(last, other_last) - max(first, other_first) + 1
                if overlap > 0:
                    shared += overlap
    return shared / (_pixels(truth) + _pixels(prediction) - shared)


def _pixels(rows: Rows) -> int:
    return sum(last - first + 1 for segments in rows.values() for first, last in segments)


def compare_colours(picture: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """RGB picture (H, W, 3) -> ids (H, W), by one comparison of the picture for each colour. Unknown colours: 255."""
    ids = np.full(picture.shape[:2], 255, np.uint8)
    for index, colour in enumerate(colours):
        ids[np.all(picture == colour, axis=2)] = index
    return ids


def histogram_confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Two label maps -> (classes, classes) counts, as a two-dimensional histogram of pairs."""
    pairs = np.stack([truth.ravel(), prediction.ravel()], 1)
    return np.histogramdd(pairs, bins=(classes, classes), range=((0, classes), (0, classes)))[0]


def segment_again(truth: np.ndarray, maps: np.ndarray, upto: int) -> np.ndarray:
    """Counts (categories, 256, 3) at thresholds 0 to `upto`: a mask of the image for each category and threshold.

    truth (H, W) and maps (classes, H, W) uint8; class 0 is background. Counts are pixels shared, of truth, of the mask.
    """
    table = np.zeros((len(maps) - 1, 256, 3), np.int32)
    for category, plane in enumerate(maps[1:]):
        right = truth == category + 1
        table[category, :, 1] = right.sum()
        for threshold in range(upto + 1):
            mask = plane >= threshold
            table[category, threshold, [0, 2]] = np.count_nonzero(mask & right), np.count_nonzero(mask)
    return table


def vote_per_offset(
    picture: np.ndarray, classify: Callable[[np.ndarray], np.ndarray], classes: int, *, wide: bool = True
) -> np.ndarray:
    """Picture (H, W, 3) uint8 -> labels (H, W) uint8: the most frequent of five maps, each of windows at an offset.

    The first map's windows begin in the corner; those of the others begin above and left of it, by more and more fifths
    of a window. Windows of a map lie side by side and are classified one by one; beyond the picture its border pixels
    are repeated. `wide`: as the predecessor did, the other maps' canvas is a window larger than the picture on every
    side, and all of its windows are classified (132 for 1216x1936); otherwise those that hold a pixel of it (74).
    """
    height, width = picture.shape[:2]
    votes = []
    for number in range(OFFSETS):
        back = 0 if number == 0 else SIDE - number * SIDE // OFFSETS
        more = SIDE if number and wide else 0
        rows, columns = (-(-(length + max(back, more) + more) // SIDE) for length in (height, width))
        below, right = rows * SIDE - height - back, columns * SIDE - width - back
        padded = np.pad(picture, ((back, below), (back, right), (0, 0)), "edge")
        labels = np.empty(padded.shape[:2], np.uint8)
        for top in range(0, rows * SIDE, SIDE):
            for left in range(0, columns * SIDE, SIDE):
                window = np.s_[top : top + SIDE, left : left + SIDE]
                labels[window] = classify(padded[window])
        votes.append(labels[back : back + height, back : back + width])
    return np.stack([(np.stack(votes) == index).sum(0) for index in range(classes)]).argmax(0).astype(np.uint8)

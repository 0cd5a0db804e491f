"""The contest's score, slowly: from sets of pixels, and as the organisers' script walks from segment to segment."""

import math

import numpy as np

Rows = dict[str, list[list[int]]]
"""Row -> its segments: first and last column, inclusive."""
Submission = dict[str, dict[str, Rows]]
"""Image -> category -> rows: what the contest's JSON holds."""
Masks = dict[str, dict[str, np.ndarray]]
"""Image -> category -> (H, W) bool; categories may overlap."""


def submission_of(masks: Masks) -> Submission:
    """What the organisers' converter makes of masks: absent categories are absent, an empty image is `{}`."""
    return {
        f"{image}.jpg": {category: segments_of(mask) for category, mask in categories.items() if mask.any()}
        for image, categories in masks.items()
    }


def segments_of(mask: np.ndarray) -> Rows:
    """Pixel by pixel, row by row: open a run at its first pixel, close it at its last."""
    rows: Rows = {}
    for y, row in enumerate(mask.tolist()):
        for x, inside in enumerate(row):
            if inside and (x == 0 or not row[x - 1]):
                rows.setdefault(str(y), []).append([x, x])
            elif inside:
                rows[str(y)][-1][1] = x
    return rows


def score_by_sets(truth: Submission, prediction: Submission) -> float:
    """Mean over images of the mean IoU over the categories of the truth; NaN when the truth has none at all."""
    images = []
    for image, categories in truth.items():
        right = {category: pixels_of(rows) for category, rows in categories.items()}
        given = {category: pixels_of(rows) for category, rows in prediction.get(image, {}).items()}
        values = [len(p & given.get(c, set())) / len(p | given.get(c, set())) for c, p in right.items() if p]
        if values:
            images.append(sum(values) / len(values))
    return sum(images) / len(images) if images else math.nan


def pixels_of(rows: Rows) -> set[tuple[int, int]]:
    return {(int(row), x) for row, segments in rows.items() for first, last in segments for x in range(first, last + 1)}


def score_by_walk(truth: Submission, prediction: Submission) -> float:
    """Like `score_by_sets` on valid files. It believes that no two segments overlap and that no image is empty."""
    images = []
    for image, categories in truth.items():
        values = []
        for category, rows in categories.items():
            given = prediction.get(image, {}).get(category, {})
            shared = sum(
                max(0, min(a[1], b[1]) - max(a[0], b[0]) + 1)
                for row in rows
                for a in rows[row]
                for b in given.get(row, [])
            )
            values.append(shared / (area_of(rows) + area_of(given) - shared))
        images.append(sum(values) / len(values))
    return sum(images) / len(images)


def area_of(rows: Rows) -> int:
    return sum(last - first + 1 for segments in rows.values() for first, last in segments)

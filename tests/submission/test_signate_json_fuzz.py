"""Every mutation of a valid submission is refused by name, or scores what a slow reading of its text says."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foldseg.config.schema import Data, Signate
from foldseg.data import signate
from foldseg.data.datasets import DataSet
from foldseg.errors import FoldsegError
from foldseg.submission import label_png
from foldseg.submission.submission_score import score_submission
from slow_contest import score_by_sets, submission_of

SCORED = signate.LABELS.select("scored")  # background, car, pedestrian, lane, signal
CATEGORIES = SCORED.names[1:]
DATA = DataSet(Data(dataset=Signate(), root=Path("nowhere"), folds=Path("nowhere"), labels="scored"))
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 5))
EXAMPLES = 8  # of each mutation in each role

Sizes = dict[str, tuple[int, int]]


class Twin(str):
    """A key that a dictionary takes beside its equal, so that the text holds it twice."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


class Place:
    """A segment of a submission, drawn by chance: where a mutation happens, and what a refusal must name."""

    def __init__(self, submission: dict[str, Any], rng: Random) -> None:
        self.rng, self.submission = rng, submission
        self.image = rng.choice([image for image in submission if submission[image]])
        self.categories = submission[self.image]
        self.category = rng.choice(list(self.categories))
        self.rows = self.categories[self.category]
        self.row = rng.choice(list(self.rows))
        self.segments = self.rows[self.row]
        self.index = rng.randrange(len(self.segments))
        self.segment = self.segments[self.index]

    def put(self, value: Any) -> None:
        """Replace the segment."""
        self.segments[self.index] = value

    def rename_row(self, row: str) -> None:
        """Give the row another number; what it holds stays."""
        self.rows[row] = self.rows.pop(self.row)
        self.row = row

    def add_category(self, category: str) -> None:
        """Say of another category what is said of this one."""
        self.categories[category] = self.rows
        self.category = category


def reverse(place: Place) -> None:
    first = place.segment[0]
    place.put([first + place.rng.randint(1, 3), first])


def swap_two(place: Place) -> None:
    place.segments[:] = [[3, 3], [1, 1]]


def overlap_two(place: Place) -> None:
    place.segments.insert(place.index + 1, [place.segment[1], place.segment[1] + 1])


def repeat_key(mapping: dict[str, Any], key: str, rng: Random) -> None:
    """The key is there twice, with the same value or another; parsers keep the last of them and say nothing."""
    value = mapping.pop(key)
    pair = [(Twin(key), value), (Twin(key), rng.choice([value, {}, []]))]
    rng.shuffle(pair)
    items = [*mapping.items(), *pair]
    mapping.clear()
    mapping.update(items)


def move_to_another_image(place: Place) -> None:
    place.submission["other.jpg"] = place.submission.pop(place.image)


def shuffle_keys(mapping: dict[str, Any], rng: Random) -> None:
    items = list(mapping.items())
    rng.shuffle(items)
    mapping.clear()
    mapping.update(items)


def shuffle_all(place: Place) -> None:
    for categories in place.submission.values():
        for rows in categories.values():
            shuffle_keys(rows, place.rng)
        shuffle_keys(categories, place.rng)
    shuffle_keys(place.submission, place.rng)


WRONG_SEGMENTS: dict[str, Callable[[Place], Any]] = {
    "three numbers": lambda p: [*p.segment, p.segment[1]],
    "one number": lambda p: p.segment[:1],
    "no number": lambda p: [],
    "nested deeper": lambda p: [p.segment],
    "a number alone": lambda p: p.segment[0],
    "a mapping": lambda p: {"0": 1, "1": 1},
    "null": lambda p: None,
    "text": lambda p: "0-1",
    "float": lambda p: [float(p.segment[0]), p.segment[1]],
    "fraction": lambda p: [p.segment[0], p.segment[1] + 0.5],
    "exponent too large": lambda p: [0, 1e300],
    "true": lambda p: [False, True],
    "null within": lambda p: [p.segment[0], None],
    "text within": lambda p: [str(p.segment[0]), p.segment[1]],
    "negative": lambda p: [-1, p.segment[1]],
    "shifted far to the left": lambda p: [x - 10**6 for x in p.segment],
    "far beyond 64 bits": lambda p: [p.segment[0], p.rng.choice([2**63, 2**64, 10**30, -(10**30)])],
}
WRONG_ROWS = [
    "-1",
    "01",
    "1.0",
    "x",
    " 1",
    "1 ",
    "+1",
    "1_0",
    "",
    "-0",
    "1e0",
    "0x1",
    "²",
    "١",
    "１",
    "9" * 30,
    "9" * 5000,
]
WRONG_ROW_VALUES = [[], {}, None, 0, "0-1", True, [0, 1], {"0": [0, 1]}]
WRONG_CATEGORIES = ["truck", "background", "Car", "car ", "", "cars"]
WRONG_CATEGORY_VALUES = [{}, [], None, 0, "car", [[0, 1]]]
WRONG_IMAGES = [[], None, 0, "x", [{"car": {"0": [[0, 0]]}}]]

IMAGE, CATEGORY, ROW = 1, 2, 3  # how much of the place a refusal must name; 0: the file
INVALID: dict[str, tuple[int, Callable[[Place], Any]]] = {
    "reverse a segment": (ROW, reverse),
    "repeat a segment": (ROW, lambda p: p.segments.insert(p.index, p.segment)),
    "repeat all segments ten times": (ROW, lambda p: p.segments.extend(p.segments * 9)),
    "swap two segments": (ROW, swap_two),
    "overlap two segments": (ROW, overlap_two),
    "unknown image": (0, lambda p: p.submission.update({"other.jpg": p.categories})),
    "missing image": (0, lambda p: p.submission.pop(p.image)),
    "another image in place of one": (0, move_to_another_image),
    "an image with and without its suffix": (0, lambda p: p.submission.update({p.image[:-4]: p.categories})),
    "an image without its suffix": (0, lambda p: p.submission.update({p.image[:-4]: p.submission.pop(p.image)})),
    "an image twice": (IMAGE, lambda p: repeat_key(p.submission, p.image, p.rng)),
    "a category twice": (CATEGORY, lambda p: repeat_key(p.categories, p.category, p.rng)),
    "a row twice": (ROW, lambda p: repeat_key(p.rows, p.row, p.rng)),
    **{f"segment: {name}": (ROW, lambda p, make=make: p.put(make(p))) for name, make in WRONG_SEGMENTS.items()},
    **{f"row name {x[:9]!r}": (ROW, lambda p, x=x: p.rename_row(x)) for x in WRONG_ROWS},
    **{f"row {x}": (ROW, lambda p, x=x: p.rows.update({p.row: x})) for x in WRONG_ROW_VALUES},
    **{f"category name {x!r}": (CATEGORY, lambda p, x=x: p.add_category(x)) for x in WRONG_CATEGORIES},
    **{f"category {x}": (CATEGORY, lambda p, x=x: p.categories.update({p.category: x})) for x in WRONG_CATEGORY_VALUES},
    **{f"image {x}": (IMAGE, lambda p, x=x: p.submission.update({p.image: x})) for x in WRONG_IMAGES},
}

JUDGED: dict[str, Callable[[Place], Any]] = {
    # Valid, refused as outside of the image, or refused as overlapping its neighbour: the slow reading knows
    "shift a segment": lambda p: p.put([x + p.rng.choice([-2, -1, 1, 2]) for x in p.segment]),
    "shift a segment far to the right": lambda p: p.put([x + 10**3 for x in p.segment]),
    "move an end": lambda p: p.put([p.segment[0], p.segment[1] + p.rng.choice([-2, -1, 1, 2])]),
    "a column at the edge": lambda p: p.put([p.segment[0], p.rng.randint(0, 7)]),
    "a row at the edge": lambda p: p.rename_row(str(p.rng.randint(0, 5))),
    "a row far below": lambda p: p.rename_row("1000"),
    "remove a segment": lambda p: p.segments.pop(p.index),
    "remove a row": lambda p: p.rows.pop(p.row),
    "remove a category": lambda p: p.categories.pop(p.category),
    "split a segment": lambda p: p.segments.__setitem__(
        slice(p.index, p.index + 1), [[p.segment[0], p.segment[0]], [p.segment[0] + 1, p.segment[1]]]
    ),
    "another category": lambda p: p.categories.update({p.rng.choice(CATEGORIES): p.rows}),
}

WITHIN_NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "00",
    "01",
    "1.",
    ".5",
    "+1",
    "0x1",
    "1e400",
    "--1",
    "1_0",
    "1 0",
    "1" * 5000,
]


def replace_a_number(text: bytes, rng: Random) -> bytes:
    found = rng.choice(list(re.finditer(rb"(?<=[\[,])\d+(?=[\],])", text)))
    return text[: found.start()] + rng.choice(WITHIN_NUMBERS).encode() + text[found.end() :]


def insert(text: bytes, rng: Random, what: bytes) -> bytes:
    at = rng.randint(0, len(text))
    return text[:at] + what + text[at:]


def flip_bits(text: bytes, rng: Random) -> bytes:
    flipped = bytearray(text)
    for _ in range(rng.randint(1, 2)):
        flipped[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def spread(text: bytes, rng: Random) -> bytes:
    """Blanks wherever JSON allows them; no name in these files holds a bracket, comma or colon."""
    blanks = [b"", b" ", b"\n", b"\t", b"\r\n"]
    return re.sub(rb"[][{},:]", lambda m: rng.choice(blanks) + m[0] + rng.choice(blanks), text)


INVALID_TEXTS: dict[str, Callable[[bytes, Random], bytes]] = {
    "truncated": lambda text, rng: text[: rng.randrange(len(text))],
    "empty": lambda text, rng: rng.choice([b"", b" ", b"\n"]),
    "trailing garbage": lambda text, rng: (
        text + rng.choice([b"}", b"]", b"x", b"{}", b",", b"\0", b"null", text, b"\f", b"\xc2\xa0"])
    ),
    "leading garbage": lambda text, rng: rng.choice([b"}", b"x", b"[", b"\0", b"{}", b"\xef\xbb\xbf"]) + text,
    "in a list": lambda text, rng: b"[" + text + b"]",
    "no mapping": lambda text, rng: rng.choice([b"[]", b"null", b"true", b"0", b'"a.jpg"', b"NaN"]),
    "invalid UTF-8": lambda text, rng: insert(text, rng, rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"])),
    "UTF-16": lambda text, rng: text.decode().encode(rng.choice(["utf-16", "utf-16-le", "utf-32"])),
    "a number that is none": replace_a_number,
    "a lone surrogate": lambda text, rng: text.replace(b'.jpg"', b'\\ud800.jpg"', 1),
    "a trailing comma": lambda text, rng: re.sub(rb"([]}])", rb",\1", text, count=1),
    "a comment": lambda text, rng: text.replace(b":", b":/* */", 1),
    "single quotes": lambda text, rng: text.replace(b'"', b"'"),
}
SAME_TEXTS: dict[str, Callable[[bytes, Random], bytes]] = {
    "blanks": spread,
    "escapes": lambda text, rng: text.replace(b'"car"', b'"\\u0063ar"').replace(b".jpg", b"\\u002ejpg"),
}
JUDGED_TEXTS: dict[str, Callable[[bytes, Random], bytes]] = {
    "flipped bits": flip_bits,
    "a byte too many": lambda text, rng: insert(text, rng, bytes([rng.randrange(256)])),
    "a byte too few": lambda text, rng: (lambda at: text[:at] + text[at + 1 :])(rng.randrange(len(text))),
}


@st.composite
def submissions(draw: st.DrawFn) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Truth, id -> class indices, and a valid submission of these images with a segment at least."""
    truth, masks = {}, {}
    for number in range(draw(st.integers(1, 2))):
        shape = draw(SHAPES)
        truth[f"test_{number}"] = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, len(CATEGORIES))))
        masks[f"test_{number}"] = dict(zip(CATEGORIES, draw(hnp.arrays(bool, (len(CATEGORIES), *shape))), strict=True))
    masks["test_0"]["car"][0, 0] = True
    return truth, submission_of(masks)


CASES = st.tuples(submissions(), st.randoms(use_true_random=False))
ROLES = ["against PNGs", "against JSON", "as the truth"]
NAMES_A_FILE = r".*/(mutated|other)(\.json)?: "  # ids that do not match are a matter of both files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the examples of hypothesis: each writes the same names again."""
    return tmp_path_factory.mktemp("fuzz")


class Judge:
    """One truth, and two verdicts on the text of a submission: what foldseg says, and what a slow reading says."""

    def __init__(self, folder: Path, truth: dict[str, np.ndarray], role: str) -> None:
        self.path, self.other, self.role = folder / "mutated.json", folder / "other", role
        masks = {i: {c: m == n for n, c in enumerate(CATEGORIES, 1)} for i, m in truth.items()}
        self.truth = submission_of(masks)
        self.sizes = {i: m.shape for i, m in truth.items()} if role == "against PNGs" else {}
        if role == "against PNGs":
            label_png.write(self.other, truth.items(), SCORED)
        else:
            self.other = folder / "other.json"
            self.other.write_text(json.dumps(self.truth))

    def score(self, text: bytes) -> float:
        """What foldseg says; FoldsegError when it refuses."""
        self.path.write_bytes(text)
        pair = (self.other, self.path) if self.role == "as the truth" else (self.path, self.other)
        return score_submission(pair[0], DATA, pair[1])["image_mean_iou_present"].value

    def slow_score(self, text: bytes) -> float:
        """What the format says, read without haste; ValueError when it must be refused."""
        submission = slow_reading(text, self.sizes)
        if set(submission) != set(self.truth):
            raise ValueError("not the images of the truth")
        pair = (submission, self.truth) if self.role == "as the truth" else (self.truth, submission)
        return score_by_sets(*pair)

    def check(self, text: bytes) -> float | FoldsegError:
        """Both verdicts are the same; returns foldseg's."""
        note(text[:2000].decode(errors="backslashreplace"))
        try:
            expected: float | None = self.slow_score(text)
        except ValueError as error:
            note(f"slow reading: {error}")
            expected = None
        try:
            found = self.score(text)
        except FoldsegError as error:
            note(f"foldseg: {error}")
            assert expected is None, f"refused ({error}), but it is valid"
            assert re.match(NAMES_A_FILE, str(error)) and len(str(error)) < 600
            return error
        assert expected is not None, f"taken with score {found}, but it is not valid"
        assert found == pytest.approx(expected, rel=0, abs=1e-12, nan_ok=True)
        return found


def slow_reading(text: bytes, sizes: Sizes) -> dict[str, Any]:
    """Parse and check one thing after the other; ValueError says what is wrong. `sizes` may lack images."""
    content = json.loads(text.decode(), object_pairs_hook=unique, parse_constant=refuse, parse_float=refuse)
    must(isinstance(content, dict), "no mapping")
    for image, categories in content.items():
        must(image.endswith(".jpg") and isinstance(categories, dict), "no image")
        height, width = sizes.get(image.removesuffix(".jpg"), (10**4, 10**4))
        for category, rows in categories.items():
            must(category in CATEGORIES and isinstance(rows, dict) and rows, "no category")
            for row, segments in rows.items():
                must(row in map(str, range(height)) and isinstance(segments, list) and segments, "no row")
                free = 0  # the first column that a segment may begin at
                for segment in segments:
                    must(isinstance(segment, list) and [type(x) for x in segment] == [int, int], "no segment")
                    must(free <= segment[0] <= segment[1] < width, "reversed, outside, overlapping or out of order")
                    free = segment[1] + 1
    return content


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    must(len(dict(pairs)) == len(pairs), "a key twice")
    return dict(pairs)


def refuse(text: str) -> None:
    raise ValueError(f"{text} is no whole number")


def must(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def text_of(submission: dict[str, Any]) -> bytes:
    return json.dumps(submission, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("role", ROLES)
@given(CASES)
def test_what_is_valid_is_taken(folder: Path, role: str, case: tuple) -> None:
    (truth, submission), _ = case
    assert isinstance(Judge(folder, truth, role).check(text_of(submission)), float)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("mutation", INVALID)
@settings(max_examples=EXAMPLES // 2)
@given(CASES)
def test_what_is_invalid_is_refused_with_its_place(folder: Path, role: str, mutation: str, case: tuple) -> None:
    (truth, submission), rng = case
    place = Place(submission, rng)
    level, mutate = INVALID[mutation]
    mutate(place)
    message = str(Judge(folder, truth, role).check(text_of(submission)))
    known = [NAMES_A_FILE, re.escape(place.image)]
    if level >= CATEGORY:
        known.append(f"[,:] '?{re.escape(place.category)}")
    if level == ROW:
        known.append("(row|:) '?" + re.escape(place.row[:10]))
    assert re.search(".*".join(known[: level + 1]), message), message


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("mutation", JUDGED)
@settings(max_examples=EXAMPLES)
@given(CASES)
def test_what_may_be_another_submission_scores_as_such(folder: Path, role: str, mutation: str, case: tuple) -> None:
    (truth, submission), rng = case
    JUDGED[mutation](Place(submission, rng))
    Judge(folder, truth, role).check(text_of(submission))


@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=2 * EXAMPLES)
@given(CASES)
def test_the_order_of_keys_does_not_matter(folder: Path, role: str, case: tuple) -> None:
    (truth, submission), rng = case
    judge = Judge(folder, truth, role)
    before = judge.score(text_of(submission))
    shuffle_all(Place(submission, rng))
    assert judge.check(text_of(submission)) == pytest.approx(before, rel=0, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("mutation", SAME_TEXTS)
@settings(max_examples=2 * EXAMPLES)
@given(CASES)
def test_how_it_is_written_does_not_matter(folder: Path, role: str, mutation: str, case: tuple) -> None:
    (truth, submission), rng = case
    judge = Judge(folder, truth, role)
    before = judge.score(text_of(submission))
    after = judge.check(SAME_TEXTS[mutation](text_of(submission), rng))
    assert after == pytest.approx(before, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("mutation", INVALID_TEXTS)
@settings(max_examples=EXAMPLES)
@given(CASES)
def test_a_text_that_is_no_json_is_refused(folder: Path, role: str, mutation: str, case: tuple) -> None:
    (truth, submission), rng = case
    text = INVALID_TEXTS[mutation](text_of(submission), rng)
    assert isinstance(Judge(folder, truth, role).check(text), FoldsegError)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("mutation", JUDGED_TEXTS)
@settings(max_examples=8 * EXAMPLES)
@given(CASES)
def test_a_text_with_an_odd_byte_is_refused_or_scores_as_what_it_says(
    folder: Path, role: str, mutation: str, case: tuple
) -> None:
    (truth, submission), rng = case
    Judge(folder, truth, role).check(JUDGED_TEXTS[mutation](text_of(submission), rng))


TRUTH = {"a": np.array([[0, 1], [1, 4]], np.uint8)}
PLACES = [
    "{}",
    '{"a.jpg":{}}',
    '{"a.jpg":{"car":{}}}',
    '{"a.jpg":{"car":{"0":{}}}}',
    '{"a.jpg":{"car":{"0":[[0,{}]]}}}',
    '{"a.jpg":{},"b.jpg":{}}',
]


@pytest.mark.parametrize("depth", [10, 100, 900, 990, 1000, 1030, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"0":', "}")])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_nested_too_deeply_is_refused(
    tmp_path: Path, depth: int, opening: str, closing: str, place: str
) -> None:
    judge = Judge(tmp_path, TRUTH, "against PNGs")
    before, _, after = place.rpartition("{}")
    for deep in (opening * depth, opening * depth + "0" + closing * depth):
        with pytest.raises(FoldsegError, match=NAMES_A_FILE) as raised:
            judge.score((before + deep + after).encode())
        assert len(str(raised.value)) < 600


HUGE = [*map(str, (10**6, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**30)), "1" + "0" * 400, "1" + "0" * 5000]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("number", HUGE, ids=len)
def test_a_number_that_no_picture_reaches_is_refused(tmp_path: Path, role: str, number: str) -> None:
    """Also where the size of the image is not known; nothing of that size is ever put into memory."""
    judge = Judge(tmp_path, TRUTH, role)
    for rows in (f'"0":[[0,{number}]]', f'"0":[[{number},{number}]]', f'"0":[[-{number},0]]', f'"{number}":[[0,0]]'):
        with pytest.raises(FoldsegError, match=r"mutated\.json") as raised:
            judge.score(f'{{"a.jpg":{{"car":{{{rows}}}}}}}'.encode())
        assert len(str(raised.value)) < 600


@pytest.mark.parametrize("value", ["[" + "0," * 10_000 + "0]", '"' + "x" * 10_000 + '"', "[[0," + "9" * 4000 + "]]"])
def test_a_refusal_does_not_repeat_all_that_is_wrong(tmp_path: Path, value: str) -> None:
    with pytest.raises(FoldsegError, match=r"mutated\.json: a\.jpg, car, row 0") as raised:
        Judge(tmp_path, TRUTH, "against PNGs").score(f'{{"a.jpg":{{"car":{{"0":{value}}}}}}}'.encode())
    assert len(str(raised.value)) < 600

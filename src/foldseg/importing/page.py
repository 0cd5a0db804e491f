"""The report of an import: one HTML file with everything in it."""

import base64
import html
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from foldseg.data.reading import read_image
from foldseg.errors import FoldsegError
from foldseg.importing.one_image import ImageOutcome
from foldseg.importing.plan import ClassPlan
from foldseg.importing.raw_masks import read_raw_ids
from foldseg.importing.remarks import Remarks
from foldseg.importing.summary import Summary
from foldseg.outputs import SIGNATURE

_WIDTH, _QUALITY, _ALPHA = 480, 80, 0.5
_MOST_SUSPECTS = 12
_MOST_PAIRS = 40
_STYLE = """
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; text-align: right }
td:first-child, th:first-child { text-align: left } tr:nth-child(even) { background: #f3f3f3 }
.colour { display: inline-block; width: 1em; height: 1em; vertical-align: -.15em; border: 1px solid #777 }
figure { display: inline-block; margin: .5em; width: 480px; vertical-align: top } figure img { max-width: 100% }
figcaption { font-size: 13px; overflow-wrap: anywhere } .warning { color: #a40 }
"""


def make_page(name: str, format_name: str, summary: Summary, examples: Sequence[ImageOutcome], remarks: Remarks) -> str:
    """Return the report as HTML. Pictures of the examples and of suspected masks are part of it."""
    plan = summary.plan
    parts = [
        f"<h1>{html.escape(name)}</h1>",
        f"<p>Imported from the format <b>{format_name}</b>: {summary.images} images, {summary.with_mask} with a mask, "
        f"{len(plan.classes)} {'overlapping ' if plan.overlapping else ''}classes.</p>",
        *_remark_lines(remarks),
        "<h2>Classes</h2>",
        _class_table(summary),
        *_painted_over(summary),
        *_suspects(summary),
        "<h2>Examples</h2>",
        "<p>For each class the image that has most of it, the rarest class first.</p>",
        *(_figure(outcome, plan) for outcome in examples),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{SIGNATURE}">'
        f"<title>{html.escape(name)}: import</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _remark_lines(remarks: Remarks) -> list[str]:
    lines = [f"<li>{html.escape(line)}</li>" for line in remarks.lines()]
    return ["<h2>What was passed over or decided</h2>", "<ul class=warning>", *lines, "</ul>"] if lines else []


def _class_table(summary: Summary) -> str:
    plan, has_objects = summary.plan, summary.plan.kind == "shapes"
    header = ["class", "ids", "images", "pixels", "share", *(["objects", "wholly hidden"] if has_objects else [])]
    labelled = max(1, summary.all_pixels - summary.void_pixels)
    rows = []
    for item in plan.classes:
        name, pixels = item.name, summary.pixels[item.name]
        cells = [
            _colour(item.colour or (0, 0, 0)) + " " + html.escape(name),
            _short_ids(item.ids),
            f"{summary.images_of_class[name]:,}",
            f"{pixels:,}",
            f"{pixels / labelled:.2%}",
        ]
        label = item.label or name
        cells += [f"{summary.objects[label]:,}", f"{summary.hidden[label]:,}"] if has_objects else []
        rows.append(cells)
    if summary.void_pixels:
        share = f"{summary.void_pixels / max(1, summary.all_pixels):.2%} of all"
        rows.append(["(void)", _short_ids(plan.void_ids), "", f"{summary.void_pixels:,}", share])
    return _table(header, rows)


def _painted_over(summary: Summary) -> list[str]:
    pairs = summary.painted_over.most_common(_MOST_PAIRS)
    if not pairs:
        return []
    if summary.plan.overlapping:
        title, header = "Classes that share pixels", ["class", "and", "pixels"]
        text = ""
    else:
        title, header = "What was painted over what", ["class below", "class above", "pixels"]
        text = "<p>Where shapes overlap, the later one is seen. If that is wrong, change their order in the tool.</p>"
    rows = [[html.escape(below), html.escape(above), f"{pixels:,}"] for (below, above), pixels in pairs]
    more = len(summary.painted_over) - len(pairs)
    return [f"<h2>{title}</h2>", text, _table(header, rows), f"<p>and {more} more pairs</p>" if more else ""]


def _suspects(summary: Summary) -> list[str]:
    if not summary.compared:
        return []
    if summary.badly_fitting and not summary.suspects:
        return [
            "<h2>Do masks belong to their images?</h2>",
            f"<p class=warning>Of {summary.compared} masks, the borders of {summary.badly_fitting} do not lie on edges "
            "of their image. Either the images have no clear edges, or images and masks are mixed up, mirrored or of "
            "another scale: look at the examples.</p>",
        ]
    if not summary.suspects:
        return [
            f"<p>The borders of all {summary.compared} masks that could be compared lie on edges of their image.</p>"
        ]
    figures = [_figure(suspect.outcome, summary.plan, suspect.better) for suspect in summary.suspects[:_MOST_SUSPECTS]]
    rest = [suspect.outcome.task.id for suspect in summary.suspects[_MOST_SUSPECTS:]]
    return [
        "<h2>Masks that may not belong to their image</h2>",
        f"<p class=warning>The borders of {len(summary.suspects)} of {summary.compared} masks do not lie on edges of "
        "their image. Look at them: some are right.</p>",
        *figures,
        f"<p>and {len(rest)} more: {html.escape(', '.join(rest))}</p>" if rest else "",
    ]


def _figure(outcome: ImageOutcome, plan: ClassPlan, note: str = "") -> str:
    """Return an image with its mask over it."""
    caption = html.escape(outcome.task.id) + (f": {html.escape(note)}" if note else "")
    try:
        content = _draw_overlay(outcome, plan)
    except FoldsegError as error:
        return f"<p class=warning>{html.escape(str(error))}</p>"
    data = base64.b64encode(content).decode()
    return (
        f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _draw_overlay(outcome: ImageOutcome, plan: ClassPlan) -> bytes:
    """Return a JPEG: the image on the left half, and with the classes' colours over it on the right.

    Background and void stay as they are.
    """
    assert outcome.file is not None and outcome.mask is not None
    readable = outcome.task.image.channels[0] if outcome.task.image.channels else outcome.file
    image, mask = read_image(readable), read_raw_ids(outcome.mask)[0]
    size = (_WIDTH // 2, max(1, round(image.shape[0] * _WIDTH / 2 / image.shape[1])))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    values = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
    colours = plan.colour_table[np.minimum(values, 255)]
    mixed = np.asarray(cv2.addWeighted(small, 1 - _ALPHA, colours, _ALPHA, 0))
    backgrounds = [raw_id for item in plan.classes if item.is_background for raw_id in item.ids]
    untouched = np.isin(values, [*backgrounds, *plan.background_ids, *plan.void_ids])
    mixed[untouched] = small[untouched]
    both = np.concatenate([small, mixed], 1)
    return bytes(cv2.imencode(".jpg", both[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())


def _colour(colour: Sequence[int]) -> str:
    return f'<span class=colour style="background: rgb{tuple(colour)}"></span>'


def _short_ids(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids)) if len(ids) < 5 else f"{ids[0]} {ids[1]} ... {ids[-1]}"


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in header)
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join(["<table>", f"<tr>{head}</tr>", *lines, "</table>"])

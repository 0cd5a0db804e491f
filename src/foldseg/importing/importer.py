"""From a source of annotations to a folder that a data set can be made of: `import_annotations`."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from foldseg.config.class_files import ClassEntry
from foldseg.errors import FoldsegError, raise_if_any
from foldseg.files import write_text
from foldseg.importing.annotation_formats import choose_format
from foldseg.importing.annotations import UNLABELLED, AnnotatedImage, Annotations, ImportSettings
from foldseg.importing.image_ids import make_ids
from foldseg.importing.import_folder import is_import, mark, new_folder
from foldseg.importing.import_tables import TABLE, write_classes, write_table
from foldseg.importing.one_image import ImageImporter, ImageOutcome, ImageTask
from foldseg.importing.page import make_page
from foldseg.importing.plan import make_plan, name_by_ids
from foldseg.importing.remarks import Remarks
from foldseg.importing.shapes import PolygonRule, fill_like_coco, fill_polygon
from foldseg.importing.summary import Summary, choose_examples
from foldseg.importing.unpack import is_archive, unpack
from foldseg.inputs import is_absent
from foldseg.outputs import is_within, require_own

logger = logging.getLogger(__name__)

REPORT = "report.html"
UNPACKED = "source"
"""Where an archive is unpacked, within the imported folder."""
_DEFAULTS = ImportSettings()
_WAITING = 4
"""Images per thread that are under way at a time. It bounds memory, whatever the number of images."""


@dataclass(frozen=True)
class ImportResult:
    """What an import wrote, for the configuration of a data set."""

    folder: Path
    """Folder of the import: the root of the data set."""
    format: str
    """Name of the format of the source."""
    table: Path
    """samples.csv: id, image, mask, split, group, stratum. Paths are relative to the folder."""
    classes: list[ClassEntry]
    """Name, ids and colour of each class, in order."""
    void: list[int]
    overlapping: bool
    background: list[int]
    """Ids of no class, if classes overlap."""
    images: int
    with_mask: int
    splits: dict[str, int]
    """Images of each split."""
    warnings: list[str] = field(default_factory=list)
    """What was passed over or decided, with counts and examples; and masks that may not belong to their image."""

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / REPORT


def import_annotations(
    source: Path,
    out: Path,
    settings: ImportSettings = _DEFAULTS,
    *,
    format_name: str | None = None,
    name: str = "",
    workers: int | None = None,
) -> ImportResult:
    """Turn annotations of a tool into masks, a samples table, classes and a report in the new folder `out`.

    source: a folder, file or archive of one of the formats in `annotation_formats.py`. It stays as it is. Images are
        not copied, unless they come out of an archive or of the annotations themselves.
    format_name: the format, where several recognise the source. name: the title of the report.
    workers: threads; None: one per core.

    FoldsegError names file and entry of what is wrong; nothing is left then. A folder that an earlier import made is
    replaced at the end.
    """
    if is_absent(source):
        raise FoldsegError(f"{source}: no such file or folder")
    if is_within(source, out):
        raise FoldsegError(f"{out}: holds the annotations; give another folder for what is made of them")
    require_own(out, "import", is_import)
    with new_folder(out) as folder:
        try:
            result = _import_into(folder, source, settings, format_name, name or out.name, workers)
        except FoldsegError as error:
            raise FoldsegError(_with_final_paths(str(error), source, folder, out)) from error
    warnings = [_with_final_paths(line, source, folder, out) for line in result.warnings]
    for line in warnings:
        logger.warning("%s: %s", source, line)
    return replace(result, folder=out, table=out / TABLE, warnings=warnings)


def _import_into(
    folder: Path, source: Path, settings: ImportSettings, format_name: str | None, name: str, workers: int | None
) -> ImportResult:
    """Import a source into a temporary folder."""
    root, remarks = source, Remarks()
    if is_archive(source):
        root = folder / UNPACKED
        unpack(source, root)
    entry = choose_format(root, format_name)
    logger.info("%s: is read as %s", source, entry.name)
    annotations = entry.read(root, settings, remarks)
    images = _leave_out_missing(source, annotations, remarks)
    plan = make_plan(source, annotations, settings, remarks)
    ids = make_ids([image.name for image in images])
    tasks = [ImageTask(id, image, folder) for id, image in zip(ids, images, strict=True)]
    outcomes = _import_images(tasks, ImageImporter(plan, settings, _polygon_rule(annotations), remarks), workers)
    if not plan.classes:
        plan = name_by_ids(source, plan, sorted({value for outcome in outcomes for value in outcome.pixels}))
    summary = Summary.of(plan, outcomes)
    _add_remarks(summary, remarks)
    page = make_page(name, entry.name, summary, choose_examples(plan, outcomes), remarks)
    write_text(folder / REPORT, page.replace(str(folder / UNPACKED), str(source)))
    splits = write_table(folder, source, outcomes)
    write_classes(folder, plan)
    mark(folder)
    return ImportResult(
        folder,
        entry.name,
        folder / TABLE,
        plan.entries,
        list(plan.void_ids),
        plan.overlapping,
        list(plan.background_ids),
        summary.images,
        summary.with_mask,
        splits,
        remarks.lines(),
    )


def _with_final_paths(text: str, source: Path, folder: Path, out: Path) -> str:
    """Return a message with the paths that the user knows: the archive's, and `out` instead of the temporary folder."""
    return text.replace(str(folder / UNPACKED), str(source)).replace(str(folder), str(out))


def _leave_out_missing(source: Path, annotations: Annotations, remarks: Remarks) -> list[AnnotatedImage]:
    """Return the images whose file is there, and those that nobody annotated. FoldsegError if there is none."""
    images, missing = list[AnnotatedImage](), list[AnnotatedImage]()
    for image in annotations.images:
        has_file = image.file is not None or image.read_content is not None
        (images if has_file else missing).append(image)
    if missing and not images:
        raise FoldsegError(
            f"{source}: none of its {len(missing)} images was found, e.g. {missing[0].name}; name their folder with "
            "--images"
        )
    if not any(image.is_annotated for image in images):
        raise FoldsegError("; ".join([f"{source}: holds no annotated image", *remarks.lines()]))
    for image in missing:
        remarks.add("images were not found and are left out (--images names a folder)", image.name)
    named = {image.file for image in images}
    repeated = len([image for image in images if image.file]) - len(named - {None})
    if repeated:
        raise FoldsegError(f"{source}: {_describe_repeated(images)}")
    folders = {file.parent for file in named if file is not None}
    spare = [file for file in annotations.unused_files if file not in named and file.parent in folders]
    return [*images, *(AnnotatedImage(file.name, str(file), file, UNLABELLED) for file in spare)]


def _describe_repeated(images: Sequence[AnnotatedImage]) -> str:
    first = dict[Path, AnnotatedImage]()
    for image in images:
        if image.file is not None and first.setdefault(image.file, image) is not image:
            return f"{image.file}: is annotated twice, in {first[image.file].entry} and in {image.entry}"
    return "an image is annotated twice"


def _polygon_rule(annotations: Annotations) -> PolygonRule:
    """Return the rule for polygons: COCO's own for COCO, if pycocotools is installed."""
    if not annotations.coco_rule:
        return fill_polygon
    if find_spec("pycocotools") is not None:
        return fill_like_coco
    logger.warning(
        "pycocotools is not installed: polygons include the pixels on their edges, which COCO's own rule does not "
        "(pip install 'foldseg[coco]')"
    )
    return fill_polygon


def _import_images(tasks: Sequence[ImageTask], importer: ImageImporter, workers: int | None) -> list[ImageOutcome]:
    """Import all images. FoldsegError lists what is wrong with any of them."""
    threads = workers or os.cpu_count() or 1
    outcomes = []
    with tqdm(total=len(tasks), desc="importing", unit="image", leave=False, disable=None) as bar:
        for outcome in _map_in_threads(importer, tasks, threads):
            outcomes.append(outcome)
            bar.update()
    raise_if_any([str(outcome.error) for outcome in outcomes if outcome.error is not None], "images")
    return outcomes


def _map_in_threads(
    function: Callable[[ImageTask], ImageOutcome], tasks: Sequence[ImageTask], threads: int
) -> Iterator[ImageOutcome]:
    """Yield what `function` returns for each task, in order, with only a few under way."""
    todo = iter(tasks)
    with ThreadPoolExecutor(threads) as pool:
        try:
            running = deque(pool.submit(function, task) for task in islice(todo, _WAITING * threads))
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(function, task) for task in islice(todo, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _add_remarks(summary: Summary, remarks: Remarks) -> None:
    for name in summary.absent_classes:
        remarks.add("classes have no pixel in any mask", repr(name))
    for suspect in summary.suspects:
        text = f"{suspect.outcome.task.id} ({suspect.better})" if suspect.better else suspect.outcome.task.id
        remarks.add("masks may not belong to their image: their borders are not on its edges", text)
    if summary.badly_fitting and not summary.suspects:
        reason = f"masks (of {summary.compared}) have borders that are not on edges of their image; look at the report"
        remarks.add(reason, summary.worst, summary.badly_fitting)

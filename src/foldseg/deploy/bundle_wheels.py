"""The wheels of a bundle: foldseg itself, and the packages that it needs."""

import base64
import hashlib
import importlib.util
import logging
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import foldseg
from foldseg.config.schema import Step
from foldseg.errors import FoldsegError

logger = logging.getLogger(__name__)

TRAINING_ONLY = frozenset({"pytorch-lightning", "albumentations", "scikit-learn", "tensorboard", "matplotlib"})
"""Packages that predicting does not import."""
TORCH = frozenset({"torch", "torchvision"})
"""Packages that every contest kernel has, and that are large. What they need comes with them."""
_PACKAGES = ("foldseg", "toycity")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_WHEEL = "Wheel-Version: 1.0\nGenerator: foldseg\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def list_requirements(*, train: bool) -> list[str]:
    """Return what foldseg requires, as `name>=version`, for predicting, or also for training."""
    lines = [line for line in distribution("foldseg").requires or () if "extra ==" not in line]
    return [line for line in lines if train or normalise(line) not in TRAINING_ONLY]


def list_step_packages(steps: Iterable[Step]) -> list[str]:
    """Return the optional packages that steps need, as `name==version`, in the versions that are installed."""
    modules = [step.package.module.split(".")[0] for step in steps if step.package is not None]
    providers = packages_distributions() if modules else {}
    names = dict.fromkeys(name for module in modules for name in providers.get(module, ()))
    return [f"{name}=={distribution(name).version}" for name in names]


def normalise(requirement: str) -> str:
    """Return the name of a package in a requirement, in the form in which names are compared: `PyYAML>=6` -> pyyaml."""
    match = _NAME.match(requirement.strip())
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel of foldseg, as it runs now, into a folder. It needs no build tools and no repository."""
    version = foldseg.__version__
    info = f"foldseg-{version}.dist-info"
    source = Path(foldseg.__file__).parent.parent
    files: dict[str, bytes] = {}
    for package in _PACKAGES:
        for path in sorted((source / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files[path.relative_to(source).as_posix()] = path.read_bytes()
    metadata = (
        distribution("foldseg").read_text("METADATA") or f"Metadata-Version: 2.1\nName: foldseg\nVersion: {version}\n"
    )
    files[f"{info}/METADATA"] = metadata.encode()
    files[f"{info}/WHEEL"] = _WHEEL.encode()
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\nfoldseg = foldseg.cli.app:main\n"
    record = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,\n"]).encode()
    wheel = folder / f"foldseg-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def copy_wheels(source: Path, folder: Path) -> None:
    """Copy the wheels of a folder, without those of foldseg. FoldsegError if it has none."""
    wheels = sorted(path for path in source.glob("*.whl") if normalise(path.name.split("-")[0]) != "foldseg")
    if not wheels:
        raise FoldsegError(f"{source}: holds no wheels (*.whl)")
    for wheel in wheels:
        shutil.copyfile(wheel, folder / wheel.name)


def collect_wheels(requirements: Sequence[str], folder: Path, *, with_torch: bool) -> None:
    """Let pip get the wheels of these packages and of all that they need, in the versions that are installed here.

    Without torch, what only torch needs is left out, too. FoldsegError if pip is missing or fails.
    """
    pinned = [
        f"{name}=={version}" for name, version in sorted(list_closure(requirements, with_torch=with_torch).items())
    ]
    command = [*_find_pip(), "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), *pinned]
    logger.info("pip gets %d wheels, for this Python and this kind of machine", len(pinned))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip ended without a message"])[-1]
        raise FoldsegError(
            f"pip could not get the wheels ({reason}); give a folder of wheels, --wheels FOLDER, or install pip: "
            f"{Path(sys.executable).name} -m ensurepip"
        )


def _find_pip() -> list[str]:
    """Return the command of a pip that works for this Python. It need not be installed beside it."""
    other = shutil.which("pip")
    if importlib.util.find_spec("pip") is None and other is not None:
        return [other, "--python", sys.executable]
    return [sys.executable, "-m", "pip"]


def list_closure(requirements: Iterable[str], *, with_torch: bool) -> dict[str, str]:
    """Return the installed version of each of these packages, and of all packages that they need."""
    versions: dict[str, str] = {}
    todo = [normalise(line) for line in requirements]
    while todo:
        name = todo.pop()
        if name in versions or (name in TORCH and not with_torch):
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # not needed on this kind of machine, or by this version of Python
        versions[name] = package.version
        todo += [normalise(line) for line in package.requires or () if "extra ==" not in line]
    return versions

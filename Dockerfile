# foldseg in a container, for those who want one.
#   docker build -t foldseg .                                 torch with its CUDA libraries
#   docker build -t foldseg --build-arg TORCH_INDEX=URL .     torch from another index of packages, e.g. PyTorch's for CPUs
#   docker run --rm -it --gpus all -v "$PWD:/project" -w /project foldseg train configs/experiments/x.yaml 0
FROM python:3.11-slim

# An index of packages that torch and torchvision are taken from. Empty: the usual one, whose torch has CUDA
ARG TORCH_INDEX=""

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

# The compiler is for the dense CRF, which pip builds. Versions are those of the base image's Debian
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /foldseg
COPY requirements.txt ./
# Another torch is installed first, so that requirements.txt finds it there
RUN if [ -n "$TORCH_INDEX" ]; then \
        grep -E '^(torch|torchvision)==' requirements.txt > torch.txt \
        && pip install --index-url "$TORCH_INDEX" -r torch.txt; \
    fi \
    && pip install -r requirements.txt \
    && pip install pydensecrf2==1.1

COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY folds folds
COPY src src
# hadolint ignore=DL3013
RUN pip install ".[coco,cvat,onnx,video]"

WORKDIR /project
ENTRYPOINT ["foldseg"]
CMD ["--help"]

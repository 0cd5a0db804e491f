"""The network."""

from typing import Any

from pydantic import Field

from foldseg.config.schema.base import Settings


class Model(Settings):
    """A segmentation network: decoder, encoder and where the encoder's weights come from."""

    architecture: str = "unet"
    encoder: str = "resnet34"
    encoder_weights: str | None = "imagenet"  # "imagenet" (downloads), a local file, or null
    # Passed to the architecture: decoder_channels, decoder_attention_type, ...
    options: dict[str, Any] = Field(default_factory=dict)

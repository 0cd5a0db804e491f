"""Settings of the network. Networks are built in `foldseg.models.factory`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Settings, UserPath, UserPathText
from foldseg.config.schema.definitions import NORM_DEFINITIONS
from foldseg.config.schema.names import NormName


class Model(Settings):
    """A segmentation network: decoder, encoder, where its weights come from, and changes to both."""

    architecture: str = "unet"
    """Decoder: unet, fpn, deeplabv3plus, segformer, fcn8s, ... See the how-to page on networks."""
    encoder: str = "resnet34"
    """Encoder: resnet34, mobilenet_v2, ..., or tu-NAME for an encoder of timm."""
    encoder_weights: UserPathText | None = "imagenet"
    """Weights that the encoder starts from: `imagenet` (downloaded), a local file, or null for random ones."""
    start_from: UserPath | None = None
    """Weights of the whole network to start from, instead of encoder_weights: the folder of a run, of an experiment
    (its run of the same fold), or a checkpoint. The encoder must be the same. Of the decoder and the heads, what
    fits is taken."""
    normalise: Literal["imagenet", "data"] = "imagenet"
    """With which mean and standard deviation images are normalised. imagenet: those of the images that the encoder's
    weights were trained on. data: those of the fold's training images. Images of other than 3 channels always have
    those of the data."""
    norm: NormName = "batch"
    """The norm that replaces every batch norm."""
    freeze_batch_norm: bool = False
    """Keep statistics, scales and shifts of the encoder's batch norms as its weights have them."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the channels that are dropped before the last convolution."""
    deep_supervision: bool = False
    """Also supervise logits that are computed from the encoder's maps of stride 8 and 16."""
    presence_head: bool = False
    """Also learn whether a class is anywhere in the image. Give `loss.presence` a weight."""
    gradient_checkpointing: bool = False
    """Use less memory for the encoder, and about a third more time."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of the architecture itself: decoder_channels, decoder_attention_type, ..."""

    @classmethod
    def kept_below(cls, below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
        """Return those settings of a base that stay. If a file above it changes the architecture, options do not."""
        before = below.get("architecture", cls.model_fields["architecture"].default)
        if above.get("architecture", before) == before:
            return below
        return {key: value for key, value in below.items() if key != "options"}

    @model_validator(mode="after")
    def _check_batch_norm_can_be_frozen(self) -> Self:
        if self.freeze_batch_norm and not NORM_DEFINITIONS[self.norm].is_batch_norm:
            raise ValueError(f"freeze_batch_norm: with norm {self.norm} there is no batch norm; set one of the two")
        return self

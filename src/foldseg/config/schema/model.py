"""The network."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from foldseg.config.schema.base import Settings, UserPath, UserPathText


class Model(Settings):
    """A segmentation network: decoder, encoder, where its weights come from, and what is changed about both."""

    architecture: str = "unet"
    encoder: str = "resnet34"
    encoder_weights: UserPathText | None = "imagenet"  # "imagenet" (downloads), a local file, or null
    # A run's folder, an experiment's (its fold of the same number) or a checkpoint, instead of encoder_weights: the
    # encoder must be the same, of the decoder and its heads what fits is taken
    start_from: UserPath | None = None
    norm: Literal["batch", "sync", "group", "instance", "evonorm", "none"] = "batch"  # instead of every batch norm
    freeze_batch_norm: bool = False  # the encoder's: statistics, scales and shifts stay as its weights have them
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # share of the channels before the last convolution
    deep_supervision: bool = False  # logits from the encoder's maps of stride 8 and 16 are supervised too
    presence_head: bool = False  # whether a class is anywhere in the image is learned too
    gradient_checkpointing: bool = False  # less memory for the encoder, about a third more time
    # Passed to the architecture: decoder_channels, decoder_attention_type, ...
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _batch_norm_can_be_frozen(self) -> Self:
        if self.freeze_batch_norm and self.norm not in ("batch", "sync"):
            raise ValueError(f"freeze_batch_norm: with norm {self.norm} there is no batch norm; set one of the two")
        return self

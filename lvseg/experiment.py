"""The choices of one experiment as a typed, flat contract, and the four profiles: smoke, class, fine, paper.

An unknown or impossible choice is refused with a sentence. The profiles are one code path: only sizes differ.
Nothing here asks the machine or opens a file: `lvseg.data.prepared.settled` does that.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lvseg.errors import ConfigError

IMPROVEMENTS: dict[str, dict[str, Any]] = {
    "unet": {"inception": "none", "attention": "none", "slope": 0.0},
    "resunet": {"inception": "none", "attention": "none", "slope": 0.0},
    "improved_resunet": {"inception": "encoder", "attention": "gate", "slope": 0.01},
}
"""The paper's three improvements per method: ResUNet is the improved network with all three off (U8)."""

SPLITS = ("patient", "frame", "own")
"""How frames can be divided: by patient, by frame, or as the data set itself does (U13)."""


class Contract(BaseModel):
    """A frozen record that refuses unknown names; `of` turns pydantic's report into one `ConfigError` sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of(cls, **choices: Any):
        """Build the record from `choices`; raises `lvseg.ConfigError` that names the first wrong one."""
        try:
            return cls(**choices)
        except ValidationError as error:
            raise ConfigError(_sentence(cls, error)) from None


class NetworkConfig(Contract):
    """What a network is made of. U1 to U8 and U18 name the paper's open questions (`lvseg.paper.OPEN_QUESTIONS`)."""

    model: Literal["unet", "resunet", "improved_resunet"] = "improved_resunet"
    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)] = 64
    size: Annotated[int, Field(ge=16, le=2048, multiple_of=16)] = 256
    channels: Literal[1, 3] = 3
    wiring: Literal["two_stage", "preactivation", "postactivation", "two_convolutions"] = "two_stage"
    inception: Literal["encoder", "encoder_decoder", "bottleneck", "none"] = "encoder"
    inception_5x5: Literal["factorised", "whole"] = "factorised"
    attention: Literal["gate", "cbam", "squeeze_excitation", "none"] = "gate"
    slope: Annotated[float, Field(ge=0, le=1)] = 0.01
    upsampling: Literal["bilinear", "nearest", "transposed"] = "bilinear"
    skip: Literal["concatenate", "add"] = "concatenate"
    batch_norm: bool = True
    bn_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99

    @model_validator(mode="before")
    @classmethod
    def _improvements_of_the_method(cls, choices: Any) -> Any:
        if isinstance(choices, dict):
            return {**IMPROVEMENTS.get(choices.get("model", "improved_resunet"), {}), **choices}
        return choices

    @model_validator(mode="after")
    def _possible(self):
        if self.model == "unet" and self.inception != "none":
            raise ValueError("unet has no residual block to hold an Inception module; choose inception='none'")
        return self


class Experiment(NetworkConfig):
    """One experiment: a network, its data, and how it is trained. Flat, so that papermill can set each choice.

    parts: into how many equal parts each batch is divided, which several cores compute side by side; each part has its
    own batch statistics (E. Hoffer et al., NeurIPS 2017: ghost batch normalisation). accumulate: how many batches'
    gradients are averaged into one update, where a larger batch doesn't fit the device; batch normalisation still sees
    single batches. decay_to: the share of the rate that the cosine ends with. average: the network takes a mean of the
    epochs' weights, in which the last quarter of them weighs two thirds, instead of the last epoch's. first_epochs: so
    many of the epochs see images of first_size instead of size, with a schedule and a mean of their own; the others
    begin at the weights that these end with. members: so many networks, of seeds that no other experiment of that many
    members has, whose probabilities are averaged: an ensemble. start: the weights to begin with instead of random ones,
    another run's `weights.keras`, once settled as `FILE#CHECKSUM`. precision: of the
    activations while training; weights, batch statistics, the loss and the trained network are float32. `auto` is
    bfloat16 where the machine's processor computes with it, else float32. split: `patient`, `frame`, `own` (the data
    set's), or a file that `lvseg data split` wrote, once settled as `FILE#CHECKSUM`, so that an experiment on another
    split is another experiment.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    profile: Literal["smoke", "class", "fine", "paper"] = "paper"
    data: str = "phantom"
    split: str = "patient"
    max_frames: Annotated[int, Field(ge=4)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    clahe: Literal["before", "after", "none"] = "before"
    clip_limit: Annotated[float, Field(ge=0)] = 2.0
    tiles: Annotated[int, Field(ge=1, le=32)] = 8
    epochs: Annotated[int, Field(ge=1)] = 100
    first_epochs: Annotated[int, Field(ge=0)] = 0
    first_size: Annotated[int, Field(ge=16, le=2048, multiple_of=16)] = 64
    members: Annotated[int, Field(ge=1, le=16)] = 1
    start: str = ""
    batch: Annotated[int, Field(ge=1)] = 4
    parts: Annotated[int, Field(ge=1)] = 1
    accumulate: Annotated[int, Field(ge=1)] = 1
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    rate: Annotated[float, Field(ge=0)] = 1e-4
    schedule: Literal["constant", "warmup_cosine"] = "constant"
    decay_to: Annotated[float, Field(ge=0, le=1)] = 1e-3
    average: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    augment: Literal["none", "usual", "mirrored", "strong"] = "none"
    alpha: Annotated[float, Field(ge=0)] = 1.0
    beta: Annotated[float, Field(ge=0)] = 1.0
    cross_entropy: Literal["mean", "sum"] = "mean"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _even_parts(self):
        if self.batch % self.parts:
            raise ValueError(
                f"parts={self.parts} don't divide a batch of {self.batch} evenly; choose parts=1, or another batch"
            )
        return self

    @model_validator(mode="after")
    def _first_epochs_among_all(self):
        if self.first_epochs >= self.epochs:
            raise ValueError(f"first_epochs={self.first_epochs} leave none of {self.epochs} epochs for images of size")
        if self.first_epochs and self.first_size > self.size:
            raise ValueError(f"first_size={self.first_size} is above size={self.size}; choose a smaller one")
        return self

    @field_validator("split")
    @classmethod
    def _a_kind_or_a_file(cls, split: str) -> str:
        if split in SPLITS or re.search(r"\.json(#[0-9a-f]{16})?$", split):
            return split
        raise ValueError(f"choose {', '.join(SPLITS)}, or a file that `lvseg data split` wrote")

    @classmethod
    def of_profile(cls, profile: str = "class", **changes: Any) -> Experiment:
        """The experiment of `profile` with `changes`; raises `lvseg.ConfigError` for what doesn't exist."""
        if profile not in PROFILES:
            raise ConfigError(f"profile {profile!r} doesn't exist; choose one of: {', '.join(PROFILES)}")
        return cls.of(**{**PROFILES[profile].choices, "profile": profile, **changes})

    def fingerprint(self) -> str:
        """SHA-256 of all choices: two experiments with one fingerprint are the same experiment.

        Choices that came later count only where they are made, so that runs of before keep their fingerprint.
        """
        chosen = self.model_dump()
        for name in _LATER:
            if chosen[name] == type(self).model_fields[name].default:
                del chosen[name]
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()

    def name(self) -> str:
        """The name of the folder in `runs/` that this experiment gets, unique to it."""
        return f"{self.model}_{self.profile}_seed{self.seed}_{self.fingerprint()[:8]}"


_LATER = ("first_epochs", "first_size", "members", "start")


class Profile(NamedTuple):
    """What a profile chooses, and what it costs.

    choices: that differ from the contract's defaults. seeds: that a reproduction runs per method (U19). memory_mb: what
    a batch system should grant one run, with room above what was measured. seconds, dice: of a U-Net on two cores, and
    its mean Dice on CAMUS's 50 validation patients at native resolution, as benchmarks/results.json has them; None
    where nobody measured it, or where nothing is to be expected.
    """

    choices: Mapping[str, Any]
    seeds: tuple[int, ...]
    memory_mb: int
    seconds: float | None = None
    dice: float | None = None


_RECIPE = {
    "channels": 1, "rate": 3e-3, "clip_norm": 1.0, "schedule": "warmup_cosine", "decay_to": 0.3, "average": True,
    "bn_momentum": 0.9, "augment": "usual",
}  # fmt: skip
"""What makes training short: docs/training.md says what each ingredient is worth."""

PROFILES: Mapping[str, Profile] = {
    "smoke": Profile(
        {**_RECIPE, "width": 4, "size": 64, "max_frames": 16, "epochs": 2, "batch": 4}, seeds=(0,), memory_mb=1500
    ),
    "class": Profile(
        {
            **_RECIPE, "width": 8, "size": 64, "epochs": 24, "batch": 16, "parts": 2, "weight_decay": 1e-4,
            "precision": "auto",
        },
        seeds=(0, 1, 2), memory_mb=2500, seconds=105, dice=0.934,
    ),
    "fine": Profile(
        {
            **_RECIPE, "width": 16, "size": 96, "epochs": 40, "first_epochs": 24, "first_size": 64, "batch": 16,
            "parts": 2, "weight_decay": 1e-4, "precision": "auto",
        },
        seeds=(0, 1, 2), memory_mb=3000,
    ),
    "paper": Profile({}, seeds=(0, 1, 2), memory_mb=12000),
}  # fmt: skip
"""smoke is for tests, class for a lesson on two cores, fine for more pixels there, paper as published (the contract's
own defaults): for a GPU."""


def _sentence(contract: type[BaseModel], error: ValidationError) -> str:
    """The first problem that pydantic found, as one sentence that says what can be chosen."""
    problem = error.errors()[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, contract.model_fields)
        choice = f"did you mean {near[0]}?" if near else f"choose among: {', '.join(sorted(contract.model_fields))}"
        return f"parameter {name!r} doesn't exist; {choice}"
    if not name:
        return problem["msg"].removeprefix("Value error, ")
    said = problem["msg"].removeprefix("Value error, ")
    return f"{name}={problem['input']!r} can't be used: {said[0].lower()}{said[1:]}"

"""The choices of one experiment as a typed, flat contract, and the three profiles: smoke, class, paper.

An unknown or impossible choice is refused with a sentence. The three profiles are one code path: only sizes differ.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lvseg import files, machine
from lvseg.errors import ConfigError

IMPROVEMENTS: dict[str, dict[str, Any]] = {
    "unet": {"inception": "none", "attention": "none", "slope": 0.0},
    "resunet": {"inception": "none", "attention": "none", "slope": 0.0},
    "improved_resunet": {"inception": "encoder", "attention": "gate", "slope": 0.01},
}
"""The paper's three improvements per method: ResUNet is the improved network with all three off (U8)."""


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
    epochs' weights, in which the last quarter of them weighs two thirds, instead of the last epoch's. precision: of the
    activations while training; weights, batch statistics, the loss and the trained network are float32. `auto` becomes
    bfloat16 where this machine's processor computes with it, else float32.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    profile: Literal["smoke", "class", "paper"] = "paper"
    data: str = "phantom"
    split: str = "patient"
    max_frames: Annotated[int, Field(ge=4)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    clahe: Literal["before", "after", "none"] = "before"
    clip_limit: Annotated[float, Field(ge=0)] = 2.0
    tiles: Annotated[int, Field(ge=1, le=32)] = 8
    epochs: Annotated[int, Field(ge=1)] = 100
    batch: Annotated[int, Field(ge=1)] = 4
    parts: Annotated[int, Field(ge=1)] = 1
    accumulate: Annotated[int, Field(ge=1)] = 1
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
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

    @field_validator("precision", mode="before")
    @classmethod
    def _of_this_machine(cls, precision: Any) -> Any:
        if precision not in ("auto", "float32", "bfloat16", "float16"):
            raise ValueError("choose auto, float32, bfloat16 or float16")
        return machine.fastest_precision() if precision == "auto" else precision

    @model_validator(mode="after")
    def _even_parts(self):
        if self.batch % self.parts:
            raise ValueError(
                f"parts={self.parts} don't divide a batch of {self.batch} evenly; choose parts=1, or another batch"
            )
        return self

    @field_validator("split")
    @classmethod
    def _a_kind_or_a_file(cls, split: str) -> str:
        """A split's file is kept as `FILE#CHECKSUM`, so that an experiment on another split is another experiment."""
        if split in ("patient", "frame", "own") or re.search(r"\.json#[0-9a-f]{16}$", split):
            return split
        path = Path(split).expanduser().resolve()
        if path.suffix != ".json" or not path.is_file():
            raise ValueError("choose patient, frame, own, or a file that `lvseg data split` wrote")
        return f"{path}#{files.sha256(path)[:16]}"

    @classmethod
    def of_profile(cls, profile: str = "class", **changes: Any) -> Experiment:
        """The experiment of `profile` with `changes`; raises `lvseg.ConfigError` for what doesn't exist."""
        if profile not in PROFILES:
            raise ConfigError(f"profile {profile!r} doesn't exist; choose one of: {', '.join(PROFILES)}")
        return cls.of(**{**PROFILES[profile], "profile": profile, **changes})

    def fingerprint(self) -> str:
        """SHA-256 of all choices: two experiments with one fingerprint are the same experiment."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()

    def name(self) -> str:
        """The name of the folder in `runs/` that this experiment gets, unique to it."""
        return f"{self.model}_{self.profile}_seed{self.seed}_{self.fingerprint()[:8]}"


_SMOKE = {
    "width": 4, "size": 64, "channels": 1, "max_frames": 16, "epochs": 2, "batch": 4, "rate": 3e-3,
    "clip_norm": 1.0, "schedule": "warmup_cosine", "decay_to": 0.3, "average": True, "bn_momentum": 0.9,
    "augment": "usual",
}  # fmt: skip
_CLASS = {
    "width": 8, "size": 64, "channels": 1, "epochs": 24, "batch": 16, "parts": 2, "rate": 3e-3,
    "clip_norm": 1.0, "schedule": "warmup_cosine", "decay_to": 0.3, "average": True, "bn_momentum": 0.9,
    "augment": "usual", "weight_decay": 1e-4, "precision": "auto",
}  # fmt: skip
_PAPER: dict[str, Any] = {}

PROFILES: Mapping[str, Mapping[str, Any]] = {"smoke": _SMOKE, "class": _CLASS, "paper": _PAPER}
"""smoke is for tests, class for two cores, paper as published (the contract's own defaults)."""

SEEDS: Mapping[str, tuple[int, ...]] = {"smoke": (0,), "class": (0, 1, 2), "paper": (0, 1, 2)}
"""The seeds that a reproduction runs per method (U19)."""

MEMORY_MB: Mapping[str, int] = {"smoke": 1500, "class": 2500, "paper": 12000}
"""What a batch system should grant one run, with room above what was measured (docs/training.md, docs/network.md)."""


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

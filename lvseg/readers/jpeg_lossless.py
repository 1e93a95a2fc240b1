"""JPEG Lossless of 8 bits as a plugin of pydicom, which asks Pillow for the lossy kinds only, though it reads both."""

from __future__ import annotations

import io

from PIL import Image
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

DECODER_DEPENDENCIES = {JPEGLossless: ("pillow>=11",), JPEGLosslessSV1: ("pillow>=11",)}


def register() -> None:
    """Make pydicom know it; doing so again changes nothing."""
    for syntax in DECODER_DEPENDENCIES:
        decoder = get_decoder(syntax)
        if "lvseg" not in decoder.available_plugins:
            decoder.add_plugin("lvseg", (__name__, "decode_frame"))


def is_available(syntax: str) -> bool:
    """Whether a transfer syntax is decoded here; pydicom asks."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(encoded: bytes, _: DecodeRunner) -> bytes:
    """The samples of one frame, as they were stored; more than 8 bits aren't for Pillow."""
    with Image.open(io.BytesIO(encoded), formats=("JPEG",)) as picture:
        return picture.tobytes()

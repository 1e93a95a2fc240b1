"""The choices of a tiny run."""

from __future__ import annotations

TINY = {"model": "unet", "max_frames": 8, "size": 32, "batch": 4}

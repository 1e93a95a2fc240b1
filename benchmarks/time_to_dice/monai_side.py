"""What a competent user writes with MONAI in an hour: BasicUNet (1.9 M parameters) at 128x128, cached, channels last.

Its own transforms and `DiceCELoss`, AdamW at 1e-3 with one cycle of warm-up and decay, batches of 16, 18 epochs.
`monai_side SEED`.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import torch
from monai import transforms
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet
from monai.utils import set_determinism

from benchmarks.time_to_dice.clock import Clock, images, outline_of

SIZE, BATCH, EPOCHS, RATE = 128, 16, 18, 1e-3
BOTH, MODES = ("image", "mask"), ("bilinear", "nearest")


def prepared() -> transforms.Compose:
    """What is done once, and cached, and then what is drawn anew in each epoch."""
    return transforms.Compose(
        [
            transforms.LoadImaged(BOTH, ensure_channel_first=True, image_only=True),
            transforms.Lambdad("mask", lambda mask: (mask == 1).float()),
            transforms.Resized(BOTH, (SIZE, SIZE), mode=("area", "nearest")),
            transforms.ScaleIntensityRanged("image", 0, 255, 0, 1),
            transforms.RandAffined(
                BOTH, prob=1, rotate_range=0.26, scale_range=0.15, translate_range=0.06 * SIZE,
                mode=MODES, padding_mode="zeros",
            ),
            transforms.RandFlipd(BOTH, prob=0.5, spatial_axis=0),
            transforms.RandAdjustContrastd("image", prob=1, gamma=(0.7, 1.4)),
            transforms.RandScaleIntensityd("image", factors=0.15, prob=1),
        ]
    )  # fmt: skip


def main(seed: str) -> None:
    clock = Clock()
    set_determinism(int(seed))
    files = [{"image": str(path), "mask": str(outline_of(path))} for path in images("training")]
    cached = CacheDataset(files, prepared(), progress=False)
    loader = DataLoader(cached, BATCH, shuffle=True, drop_last=True)
    model = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=(16, 32, 64, 128, 256, 16))
    model = model.to(memory_format=torch.channels_last)
    loss, optimiser = DiceCELoss(sigmoid=True), torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, EPOCHS * len(loader), pct_start=0.1)

    @torch.no_grad()
    def segment(natives: list[np.ndarray]) -> list[np.ndarray]:
        model.eval()
        small = [cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA).T for image in natives]
        batch = torch.from_numpy(np.stack(small)[:, None] / np.float32(255)).to(memory_format=torch.channels_last)
        logits = torch.cat([model(part) for part in batch.split(20)])[:, 0].numpy()
        model.train()
        return [
            cv2.resize(1 / (1 + np.exp(-one.T)), image.shape[::-1], interpolation=cv2.INTER_CUBIC) > 0.5
            for one, image in zip(logits, natives, strict=True)
        ]

    for _ in range(EPOCHS):
        for batch in loader:
            image = batch["image"].as_tensor().contiguous(memory_format=torch.channels_last)
            optimiser.zero_grad()
            loss(model(image), batch["mask"].as_tensor()).backward()
            optimiser.step()
            schedule.step()
        clock.score(segment)


main(*sys.argv[1:])

"""Plain pictures and masks, alone, in pairs and compared."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.fuzz_readers.cases import Case, Maker, Truth, dice, heart, hearts, made, pick, save, white, write_pair

_TURN = Image.Transpose
_UNDO = {
    2: _TURN.FLIP_LEFT_RIGHT,
    3: _TURN.ROTATE_180,
    4: _TURN.FLIP_TOP_BOTTOM,
    5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_90,
    7: _TURN.TRANSVERSE,
    8: _TURN.ROTATE_270,
}
"""By EXIF's Orientation, what turns an upright picture into the stored one."""
TURNED = "turn|orient|rotat|exif|upright|sideways"


def save_turned(path: Path, image: np.ndarray, way: int, **options: object) -> Path:
    """A picture that is stored turned and says so in EXIF, by the form of `path`'s ending."""
    stored = Image.fromarray(image).transpose(_UNDO[way])
    exif = Image.Exif()
    exif[0x0112] = way
    if path.suffix in (".tif", ".tiff"):
        stored.save(made(path), tiffinfo={0x0112: way})
    else:
        stored.save(made(path), exif=exif, **options)
    return path


# Alone


def turned(rng: np.random.Generator, root: Path) -> Case:
    truth, way, ending = heart(rng), int(rng.integers(2, 9)), pick(rng, (".jpg", ".png", ".tif", ".webp"))
    path = save_turned(root / f"a{ending}", truth.image, way, **({"quality": 95} if ending != ".png" else {}))
    return Case("K2", f"{ending} stored turned, EXIF orientation {way}", "open", path, [truth.alone()], TURNED)


def turned_and_segmented(rng: np.random.Generator, root: Path) -> Case:
    truth, way = heart(rng), int(rng.integers(2, 9))
    path = save_turned(root / "a.jpg", truth.image, way, quality=95)
    return Case("K2", f"JPEG to segment, EXIF orientation {way}", "predict", path, [truth.unscaled()], TURNED)


def _kinds(rng: np.random.Generator, truth: Truth) -> dict[str, tuple[str, Image.Image, str, dict]]:
    """By name: words that tell of it, the picture, its ending, and options of saving."""
    image = truth.image
    grey = Image.fromarray(image)
    order = rng.permutation(256).astype(np.uint8)
    shuffled = Image.fromarray(np.argsort(order).astype(np.uint8)[image], "P")
    shuffled.putpalette(np.repeat(order, 3).tobytes())
    clear = np.dstack([image, image, image, np.where(image > 20, 255, 0).astype(np.uint8)])
    other = Image.fromarray(np.roll(image, 9, axis=1))
    depth = "bit|depth|grey level|values"
    return {
        "CMYK JPEG": ("cmyk|colour", grey.convert("RGB").convert("CMYK"), ".jpg", {"quality": 95}),
        "WebP": ("webp", grey.convert("RGB"), ".webp", {"lossless": True}),
        "16-bit PNG": (depth, Image.fromarray(image.astype(np.uint16) * 257), ".png", {}),
        "16-bit TIFF": (depth, Image.fromarray(image.astype(np.uint16) * 257), ".tif", {}),
        "16-bit PNG that holds 8 bits": (depth, Image.fromarray(image.astype(np.uint16)), ".png", {}),
        "16-bit PNG that holds 10 bits": (depth, Image.fromarray(image.astype(np.uint16) * 4), ".png", {}),
        "TIFF of fractions from 0 to 1": (
            f"fraction|float|{depth}",
            Image.fromarray((image / 255).astype(np.float32)),
            ".tif",
            {},
        ),
        "TIFF of 32-bit numbers from 0 to 255": (
            f"float|{depth}",
            Image.fromarray(image.astype(np.float32)),
            ".tif",
            {},
        ),
        "palette in no order": ("palette", shuffled, ".png", {}),
        "alpha hides the dark": ("alpha|transparen", Image.fromarray(clear), ".png", {}),
        "LAB TIFF": ("lab|colour", Image.merge("LAB", [grey, *[Image.new("L", grey.size, 128)] * 2]), ".tif", {}),
        "GIF": ("gif", grey, ".gif", {}),
        "TIFF of two pages": ("page|pictures|several|one picture", grey, ".tif", {"append_images": [other]}),
        "animated PNG": ("animat|pictures|several|frames|one picture", grey, ".png", {"append_images": [other]}),
        "JPEG 2000": ("jpeg 2000|jp2", grey, ".jp2", {}),
        "PNG under a JPEG's name": ("png", grey, ".png.jpg", {"format": "PNG"}),
        "upper-case ending": ("ending|upper", grey, ".PNG", {}),
    }


def _of_kind(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    kinds = _kinds(rng, truth)
    name = pick(rng, list(kinds))
    words, picture, ending, options = kinds[name]
    if "append_images" in options:
        options["save_all"] = True
    path = root / f"a{ending}"
    picture.save(made(path), **options)
    pages = name in ("TIFF of two pages", "animated PNG")
    shown = truth.alone()._replace(stretched="10 bits" in name or "CMYK" in name)
    return Case("K5", name, "open", path, [shown], words, readable=not pages)


# Pairs


def mask_kinds(mask: np.ndarray) -> dict[str, tuple[str, Image.Image, str, bool]]:
    """By name: words that tell of it, the mask's picture, its ending, and whether only telling is right."""
    grey = white(mask)
    none = np.zeros_like(grey)
    voc = Image.fromarray(mask.astype(np.uint8), "P")
    voc.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    black = Image.fromarray(mask.astype(np.uint8), "P")
    black.putpalette([255, 255, 255, 0, 0, 0])
    turned = Image.fromarray(1 - mask.astype(np.uint8), "P")
    turned.putpalette([255, 255, 255, 0, 0, 0])
    soft = cv2.GaussianBlur(grey, (3, 3), 0)
    ring = cv2.dilate(grey, np.ones((3, 3), np.uint8)) - cv2.erode(grey, np.ones((3, 3), np.uint8))
    around = cv2.dilate(grey, np.ones((9, 9), np.uint8)) // 255
    atrium = np.roll(around, int(mask.any(axis=1).sum()), axis=0) * (1 - around)
    levels = "level|values|grey|labels|classes|colours"
    most = "most|whole|all|invert|edge|outside|share|covers|fills"
    colour = f"colour|{levels}"
    return {
        "0 and 1": (levels, Image.fromarray(mask.astype(np.uint8)), ".png", False),
        "0 and 128": (levels, Image.fromarray(grey // 255 * 128), ".png", False),
        "0 and 2": (levels, Image.fromarray(grey // 255 * 2), ".png", False),
        "1 and 2": (f"{levels}|{most}", Image.fromarray(grey // 255 + 1), ".png", False),
        "one bit": (levels, Image.fromarray(mask), ".png", False),
        "palette of dark red": (f"palette|{levels}", voc, ".png", False),
        "palette in which the ventricle is black": (f"palette|{most}|{levels}", black, ".png", False),
        "palette whose index 0 is the ventricle, drawn white": (f"palette|{most}|{levels}", turned, ".png", False),
        "white, with the ventricle in alpha": (
            f"alpha|transparen|{most}",
            Image.fromarray(np.dstack([none + 255] * 3 + [grey])),
            ".png",
            False,
        ),
        "black, with the ventricle in alpha": (
            "alpha|transparen|empty|no pixel|nothing",
            Image.fromarray(np.dstack([none] * 3 + [grey])),
            ".png",
            False,
        ),
        "grey and alpha, the ventricle in alpha": (
            f"alpha|transparen|{most}",
            Image.fromarray(np.dstack([none + 255, grey])),
            ".png",
            False,
        ),
        "red on black": (colour, Image.fromarray(np.dstack([grey, none, none])), ".png", False),
        "blue 1 on black": (f"{colour}|empty", Image.fromarray(np.dstack([none, none, grey // 255])), ".png", False),
        "red at half opacity on nothing": (
            f"alpha|transparen|{colour}",
            Image.fromarray(np.dstack([grey, none, none, grey // 2])),
            ".png",
            False,
        ),
        "a green outline drawn on white": (
            f"{colour}|{most}|ring|hole|outline",
            Image.fromarray(np.dstack([255 - ring, none + 255, 255 - ring])),
            ".png",
            True,
        ),
        "JPEG with ringing": (f"jpeg|{levels}", Image.fromarray(grey), ".jpg", False),
        "soft edges": (f"soft|antialias|{levels}", Image.fromarray(soft), ".png", False),
        "16 bits": ("bit|depth", Image.fromarray(mask.astype(np.uint16) * 65535), ".png", False),
        "fractions 0 and 1 in a TIFF": (
            f"fraction|float|bit|depth|{levels}",
            Image.fromarray(mask.astype(np.float32)),
            ".tif",
            False,
        ),
        "labels 0 to 3": (
            levels,
            Image.fromarray(np.select([mask, around == 1, atrium == 1], [1, 2, 3], 0).astype(np.uint8)),
            ".png",
            False,
        ),
        "labels at 85, 170 and 255": (
            levels,
            Image.fromarray(np.select([mask, around == 1, atrium == 1], [85, 170, 255], 0).astype(np.uint8)),
            ".png",
            False,
        ),
        "inverted": (most, Image.fromarray(255 - grey), ".png", False),
        "only the outline's ring": ("ring|hole|outline|thin|fill|contour", Image.fromarray(ring), ".png", True),
    }


def of_a_mask_kind(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    kinds = mask_kinds(truth.mask)
    name = pick(rng, list(kinds))
    words, picture, ending, telling = kinds[name]
    apart = rng.random() < 0.5
    save(root / ("images/p1_a.png" if apart else "p1_a.png"), truth.image)
    save(root / (f"masks/p1_a{ending}" if apart else f"p1_a_mask{ending}"), picture)
    kind = "K1" if name in ("inverted", "only the outline's ring") else "K4"
    return Case(kind, f"mask: {name}", "images", root, [truth.unscaled()], words, readable=not telling)


def _impossible(truth: Truth, rng: np.random.Generator) -> dict[str, tuple[str, np.ndarray]]:
    mask = truth.mask
    cross = np.zeros_like(mask)
    cross[mask.shape[0] // 2 - 20 :][:40] = cross[:, mask.shape[1] // 2 - 20 :][:, :40] = True
    speck = np.zeros_like(mask)
    speck[tuple(np.argwhere(mask)[len(np.argwhere(mask)) // 2])] = True
    framed = np.zeros_like(mask)
    framed[:3] = framed[-3:] = True
    framed[:, :3] = framed[:, -3:] = True
    noise = rng.random(mask.shape) < 0.3
    most = "most|whole|all|invert|edge|share|covers|fills|full|%|part"
    return {
        "every pixel": (most, np.ones_like(mask)),
        "all but the outermost pixels": (most, np.pad(np.ones_like(mask)[2:-2, 2:-2], 2)),
        "a cross that touches all four edges": (most, cross),
        "the picture's frame": (f"{most}|hole|ring", framed),
        "one pixel": ("small|tiny|least|share|pixel|area|%", speck),
        "noise": (f"{most}|piece|region|scatter", noise),
    }


def impossible(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    masks = _impossible(truth, rng)
    name = pick(rng, list(masks))
    words, mask = masks[name]
    write_pair(root, "p1_a", truth._replace(mask=mask))
    return Case("K1", f"mask: {name}", "images", root, [truth.unscaled()], words, readable=False)


def turned_pair(rng: np.random.Generator, root: Path) -> Case:
    """The picture is turned by EXIF, the mask was drawn on the upright one."""
    truth, way = heart(rng), int(rng.integers(2, 9))
    save_turned(root / "p1_a.jpg", truth.image, way, quality=95)
    save(root / "p1_a_mask.png", white(truth.mask))
    fault = f"picture with EXIF orientation {way}, mask upright"
    return Case("K2", fault, "images", root, [truth.unscaled()], f"{TURNED}|size")


def other_size(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    save(root / "p1_a.png", truth.image)
    width = truth.mask.shape[1]
    what = pick(rng, ("halved", "turned by 90 degrees", "cut at the right"))
    mask = {
        "halved": white(truth.mask)[::2, ::2],
        "turned by 90 degrees": np.rot90(white(truth.mask)),
        "cut at the right": white(truth.mask)[:, : width - 7],
    }[what]
    save(root / "p1_a_mask.png", np.ascontiguousarray(mask))
    return Case("K2", f"mask {what}", "images", root, [truth.unscaled()], "size|pixels|turn")


def second_mask(rng: np.random.Generator, root: Path) -> Case:
    """One frame's ventricle in two files."""
    truth = heart(rng)
    second = pick(rng, ("p1 (2)_mask_1.png", "p1 (2)_mask_2.png", "p1 (2)_mask2.png", "p1 (2)_mask (1).png"))
    rows = np.arange(truth.mask.shape[0])[:, None] < np.argwhere(truth.mask)[:, 0].mean()
    save(root / "p1 (2).png", truth.image)
    save(root / "p1 (2)_mask.png", white(truth.mask & rows))
    save(root / second, white(truth.mask & ~rows))
    return Case(
        "K4", f"second mask {second}", "images", root, [truth.unscaled()], "second|several|two masks|more than one"
    )


def mask_names(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    picture, mask = pick(
        rng,
        (
            ("p1_a.PNG", "p1_a_mask.PNG"),
            ("p1_a.png", "p1_a_mask.PNG"),
            ("p1_a.png", "p1_a_gt.png"),
            ("p1_a.png", "p1_a_seg.png"),
            ("p1_a.png", "p1_a_label.png"),
            ("p1_a.png", "p1_a-mask.png"),
            ("p1_a.png", "p1_a_Mask.png"),
            ("images/p1_a.png", "labels/p1_a.png"),
            ("images/p1_a.png", "masks/p1_a_mask.png"),
            ("Images/p1_a.png", "Masks/p1_a.png"),
            ("train_frames/p1_a.png", "train_masks/p1_a.png"),
        ),
    )
    save(root / picture, truth.image)
    save(root / mask, white(truth.mask))
    return Case("K5", f"pair named {picture} and {mask}", "images", root, [truth.unscaled()], "no mask|names?|masks/")


# Compared


def compared(rng: np.random.Generator, root: Path) -> Case:
    """The same conventions or two; sometimes the masks have nothing in common."""
    names, scores, said = ("a", "b"), [], []
    kinds = [k for k in mask_kinds(heart(rng).mask) if k not in ("only the outline's ring",)]
    sides = [pick(rng, kinds), pick(rng, kinds)]
    if rng.random() < 0.5:
        sides[1] = sides[0]
    apart = rng.random() < 0.5
    telling = False
    for name in names:
        true = heart(rng).mask
        shift = (70, 60) if apart else (int(rng.integers(0, 7)), int(rng.integers(0, 7)))
        pred = np.roll(true, shift, axis=(0, 1))
        scores.append(dice(pred, true))
        for side, kind, mask in zip(("pred", "true"), sides, (pred, true), strict=True):
            words, picture, ending, tells = mask_kinds(mask)[kind]
            save(root / side / f"{name}{ending}", picture)
            said.append(words)
            telling |= tells
    fault = f"compared: {sides[0]} with {sides[1]}" + (", far apart" if apart else "")
    return Case("K4", fault, "compare", root, words="|".join(set(said)), readable=not telling, dice=scores)


def compared_names(rng: np.random.Generator, root: Path) -> Case:
    pred, true = pick(
        rng,
        (
            ("a_mask.png", "a_gt.png"),
            ("a.png", "a.PNG"),
            ("a_mask.png", "a.jpg"),
            ("a_mask.png", "a.bmp"),
            ("a_mask.png", "a.tif"),
            ("a_mask.PNG", "a_gt.PNG"),
        ),
    )
    mask = heart(rng).mask
    moved = np.roll(mask, int(rng.integers(0, 9)), axis=1)
    save(root / "pred" / pred, white(moved))
    save(root / "true" / true, white(mask))
    words = "as PNG|rename"
    return Case("K5", f"{pred} compared with {true}", "compare", root, words=words, dice=[dice(moved, mask)])


def compared_sizes(rng: np.random.Generator, root: Path) -> Case:
    mask = heart(rng).mask
    other = pick(rng, (white(mask)[::2, ::2], np.rot90(white(mask)), np.pad(white(mask), ((0, 0), (0, 4)))))
    save(root / "pred" / "a.png", white(mask))
    save(root / "true" / "a.png", np.ascontiguousarray(other))
    return Case("K2", "compared masks of two sizes", "compare", root, words="size|shape|pixels", readable=False)


# Sound


def sound_picture(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    image = Image.fromarray(truth.image)
    ending = pick(rng, (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"))
    modes = ("L", "RGB") if ending in (".jpg", ".jpeg") else ("L", "RGB", "P")
    picture = image.convert(pick(rng, modes))
    if ending == ".png" and rng.random() < 0.3:
        picture = image.convert("RGBA")
    options = {"quality": int(rng.integers(90, 98))} if ending in (".jpg", ".jpeg") else {}
    if ending in (".jpg", ".jpeg", ".png") and rng.random() < 0.3:  # upright, and says so
        exif = Image.Exif()
        exif[0x0112] = 1
        options["exif"] = exif
    path = made(root / f"a{ending}")
    picture.save(path, **options)
    if rng.random() < 0.3:
        return Case("K5", "", "predict", path, [truth.unscaled()])
    return Case("K5", "", "open", path, [truth.alone()])


def sound_pairs(rng: np.random.Generator, root: Path) -> Case:
    truths = []
    apart, level = rng.random() < 0.5, pick(rng, (1, 255))
    for number, patient in enumerate(rng.permutation(len(hearts()))[:3]):
        truth = pick(rng, hearts()[patient])
        name = f"p{number}/p{number}_4CH_ED" if rng.random() < 0.5 else f"p{number}_4CH_ED"
        save(root / ("images" if apart else "") / f"{name}{pick(rng, ('.png', '.bmp', '.tif'))}", truth.image)
        mask = root / (f"masks/{name}.png" if apart else f"{name}_mask.png")
        save(mask, Image.fromarray(truth.mask) if rng.random() < 0.2 else (white(truth.mask) // 255 * level))
        truths.append(truth.unscaled())
    return Case("K4", "", "images", root, truths)


def sound_comparison(rng: np.random.Generator, root: Path) -> Case:
    scores = []
    for name in ("a", "b", "c"):
        mask = heart(rng).mask
        moved = np.roll(mask, int(rng.integers(0, 9)), axis=int(rng.integers(2)))
        save(root / "pred" / f"{name}_mask.png", white(moved))
        save(root / "true" / f"{name}.png", white(mask))
        scores.append(dice(moved, mask))
    return Case("K4", "", "compare", root, dice=scores)


FAULTS: list[Maker] = [
    turned,
    turned_and_segmented,
    _of_kind,
    _of_kind,
    of_a_mask_kind,
    of_a_mask_kind,
    of_a_mask_kind,
    impossible,
    turned_pair,
    other_size,
    second_mask,
    mask_names,
    compared,
    compared,
    compared_names,
    compared_sizes,
]
SOUND: list[Maker] = [
    sound_picture,
    sound_picture,
    sound_pairs,
    sound_pairs,
    sound_comparison,
]

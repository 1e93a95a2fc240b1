"""NIfTI, MetaImage and video: affines, axes, units, values, CAMUS's layout, stated numbers of frames."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_readers.cases import (
    Case,
    Maker,
    cine,
    even,
    heart,
    hearts,
    label_map,
    pick,
    resized,
    upright_affine,
    write_camus,
    write_mhd,
    write_nifti,
    write_text,
    write_video,
)
from benchmarks.fuzz_readers.faults_dicom import COUNTS, SCALE
from benchmarks.fuzz_readers.faults_pictures import TURNED

AFFINE = f"{TURNED}|affine|axis|axes|flip|direction"
_TURNS = [(swap, x, y) for swap in (False, True) for x in (1, -1) for y in (1, -1)]


def turned_volume(rng: np.random.Generator, root: Path) -> Case:
    """Stored in another order or direction, with an affine that says so."""
    truth = heart(rng)
    swap, x, y = pick(rng, [turn for turn in _TURNS if turn != (False, 1, 1)])
    stored = truth.image.T[::x, ::y]
    affine = upright_affine(truth.spacing) @ np.diag([x, y, 1.0, 1.0])
    if swap:
        stored, affine = stored.T, affine[:, [1, 0, 2, 3]]
    path = write_nifti(root / "a.nii.gz", np.ascontiguousarray(stored), affine)
    fault = f"NIfTI stored {'rows first, ' * swap}directions {x}, {y}, its affine says so"
    return Case("K2", fault, "open", path, [truth.scaled()], AFFINE, mm_optional=True)


def careless_affine(rng: np.random.Generator, root: Path) -> Case:
    """Saved from an array with a plain scaling for an affine: rows first, or upright."""
    truth = heart(rng)
    rows_first = rng.random() < 0.5
    affine = np.diag([*(truth.spacing if rows_first else truth.spacing[::-1]), 1.0, 1.0])
    path = write_nifti(root / "a.nii.gz", truth.image if rows_first else np.ascontiguousarray(truth.image.T), affine)
    fault = f"NIfTI saved {'rows first' if rows_first else 'columns first'} with a positive affine"
    return Case("K2", fault, "open", path, [truth.scaled()], AFFINE, mm_optional=True)


def axes(rng: np.random.Generator, root: Path) -> Case:
    """Axes of length one, of colours, or of frames in another place."""
    truths = cine(rng)
    truth = truths[0]
    image = truth.image.T
    coloured = np.zeros(image.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for channel in "RGB":
        coloured[channel] = image
    affine = upright_affine(truth.spacing)
    row, column = truth.spacing
    first = np.array([[0, -column, 0, 0], [0, 0, -row, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
    middle = np.array([[-column, 0, 0, 0], [0, 0, -row, 0], [0, 1, 0, 0], [0, 0, 0, 1]], float)
    time_first = np.stack([t.image.T for t in truths])
    name, stored, matrix, shown = pick(
        rng,
        (
            ("a first axis of length 1", image[None], first, truths[:1]),
            ("a middle axis of length 1", image[:, None], middle, truths[:1]),
            ("two last axes of length 1", image[..., None, None], affine, truths[:1]),
            ("a first axis of length 1, a plain affine", image[None], affine, truths[:1]),
            ("three equal channels last", np.repeat(image[..., None], 3, axis=-1), affine, truths[:1]),
            ("four channels last, one opaque", _with_alpha(image), affine, truths[:1]),
            ("channels on a fifth axis", np.repeat(image[..., None, None, None], 3, axis=-1), affine, truths[:1]),
            ("NIfTI's own RGB", coloured, affine, truths[:1]),
            ("frames first", time_first, first, truths),
            ("frames on the fourth axis", np.moveaxis(time_first, 0, -1)[:, :, None], affine, truths),
        ),
    )
    path = write_nifti(root / f"a{pick(rng, ('.nii', '.nii.gz'))}", np.ascontiguousarray(stored), matrix)
    words = "axis|axes|colour|channel|RGB|frames|wide|shape|one grey image|pixels?"
    shown = [truth.scaled() for truth in shown]
    return Case("K2", f"NIfTI with {name}", "open", path, shown, words, mm_optional=True)


def _with_alpha(image: np.ndarray) -> np.ndarray:
    return np.dstack([image, image, image, np.full_like(image, 255)])


def unit(rng: np.random.Generator, root: Path) -> Case:
    """Sizes of pixels that are a default, or in a unit of their own."""
    truth = heart(rng)
    name, factor, code = pick(
        rng,
        (
            ("1 mm by default", None, 0),
            ("1 mm by default", None, 2),
            ("metres", 1e-3, 1),
            ("micrometres", 1e3, 3),
            ("centimetres, said to be millimetres", 0.1, 2),
            ("ten times too large", 10.0, 2),
        ),
    )
    wrong = (1.0, 1.0) if factor is None else tuple(mm * factor for mm in truth.spacing)
    path = write_nifti(root / "a.nii.gz", truth.image.T, upright_affine(wrong), xyzt_units=code)
    words = f"{SCALE}|unit|met(re|er)|micro|default|can't be"
    kind = "K1" if code == 2 and factor else "K2"
    fault = f"NIfTI scale: {name}"
    if factor is None:
        return Case(kind, fault, "open", path, [truth.alone()], words)
    return Case(kind, fault, "predict", path, [truth], words, mm_optional=True)


def two_matrices(rng: np.random.Generator, root: Path) -> Case:
    """qform and sform, or pixdim and affine, give two scales."""
    truth = heart(rng)
    path = root / "a.nii"
    write_nifti(path, truth.image.T, upright_affine(truth.spacing))
    data = bytearray(path.read_bytes())
    double = np.float32([2 * truth.spacing[1], 2 * truth.spacing[0]])
    data[80:88] = double.tobytes()  # pixdim[1:3]
    path.write_bytes(bytes(data))
    words = f"{SCALE}|affine|pixdim|sform|qform"
    return Case("K2", "NIfTI's pixdim is twice its affine's scale", "open", path, [truth.alone()], words)


def values(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    image = truth.image.T.astype(np.float32)
    name, stored = pick(
        rng,
        (
            ("fractions", image / 255),
            ("10 bits", (image * 4).astype(np.int16)),
            ("decibels below zero", image / 255 * 60 - 60),
            ("standardised values", (image - image.mean()) / image.std()),
            ("16 bits full", (image * 257).astype(np.uint16)),
            ("signed, from -128", (image - 128).astype(np.int16)),
        ),
    )
    path = write_nifti(root / "a.nii.gz", stored, upright_affine(truth.spacing))
    shown = truth.scaled()._replace(stretched=True)
    return Case("K5", f"NIfTI of {name}", "open", path, [shown], "values|fraction|rescale|range|grey level")


def label_as_image(rng: np.random.Generator, root: Path) -> Case:
    """A map of labels under an image's name, as nnU-Net keeps it."""
    truth = heart(rng)
    path = root / pick(rng, ("labelsTr/patient0001_4CH_ED.nii.gz", "seg.nii.gz", "labels/a.nii.gz"))
    write_nifti(path, label_map(truth.mask).T, upright_affine(truth.spacing))
    words = "label|mask|few|only (two|four|\\d)|values|levels"
    return Case("K5", "a label map opened as a picture", "open", path.parent, words=words, readable=False)


# MetaImage


def metaimage(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    path = root / "a.mhd"
    image = truth.image
    name = pick(
        rng,
        ("local", "mha", "turned", "byte order mark", "CRLF", "comment in Latin-1", "size, no spacing", "RGB"),
    )
    shown, kind, words = truth.scaled(), "K5", r"\.mha\b|LOCAL|ElementDataFile"
    if name in ("local", "mha"):
        write_mhd(path, image, truth.spacing, "LOCAL")
        path.write_bytes(path.read_bytes() + path.with_suffix(".raw").read_bytes())
        path.with_suffix(".raw").unlink()
        if name == "mha":
            path = path.rename(root / "a.mha")
    elif name == "turned":
        write_mhd(path, image[::-1], truth.spacing, TransformMatrix="1 0 0 0 -1 0 0 0 1")
        kind, words = "K2", f"{AFFINE}|TransformMatrix"
    elif name == "size, no spacing":
        write_mhd(path, image, truth.spacing)
        text = path.read_text().replace("ElementSpacing", "ElementSize")
        path.write_text(text)
        words = SCALE
    elif name == "RGB":
        write_mhd(path, np.dstack([image] * 3).reshape(image.shape[0], -1), truth.spacing)
        height, width = image.shape
        text = path.read_text().replace(f"DimSize = {3 * width} {height}", f"DimSize = {width} {height}")
        path.write_text(text.replace("ElementDataFile", "ElementNumberOfChannels = 3\nElementDataFile"))
        words = "channel|colour|RGB|grey"
    else:
        encoding, newline = {"byte order mark": ("utf-8-sig", "\n"), "CRLF": ("utf-8", "\r\n")}.get(
            name, ("latin-1", "\n")
        )
        write_mhd(path, image, truth.spacing)
        text = ("Comment = Größe geprüft\n" if encoding == "latin-1" else "") + path.read_text()
        write_text(path, text, encoding, newline)
        kind, words = "K6", "text|encod|character"
    return Case(kind, f"MetaImage: {name}", "open", path, [shown], words, mm_optional=name == "size, no spacing")


# CAMUS's layout


def camus_labels(rng: np.random.Generator, root: Path) -> Case:
    """Label maps in another size, orientation, meaning or number than the image's."""
    truth = heart(rng)
    folder = write_camus(root, "patient0001", {"ED": truth})
    path = folder / "patient0001_4CH_ED_gt.nii.gz"
    labels = label_map(truth.mask).T
    affine = upright_affine(truth.spacing)
    readable, kind, words = True, "K2", f"{AFFINE}|size|labels|{SCALE}"
    name = pick(rng, ("upside down, its affine says so", "another scale", "background and ventricle exchanged",
                      "0 and 255", "fractions", "the ventricle everywhere", "a singleton axis"))  # fmt: skip
    if name.startswith("upside"):
        write_nifti(path, np.ascontiguousarray(labels[:, ::-1]), affine @ np.diag([1, -1, 1, 1]))
    elif name == "another scale":
        write_nifti(path, labels, affine @ np.diag([2, 2, 1, 1]))
        readable = False
    elif name.startswith("background"):
        swapped = np.choose(labels, [1, 0, 2, 3]).astype(np.uint8)
        write_nifti(path, swapped, affine)
        kind, words = "K1", "most|whole|invert|edge|share|hole|outside|%|area|volume"
    elif name == "0 and 255":
        write_nifti(path, (labels == 1).astype(np.uint8) * 255, affine)
        kind, words = "K4", "label|values|255|level"
    elif name == "fractions":
        write_nifti(path, (labels == 1) * np.float32(0.5), affine)
        kind, words, readable = "K4", "label|values|fraction", True
    elif name == "the ventricle everywhere":
        write_nifti(path, np.ones_like(labels), affine)
        kind, words, readable = "K1", "most|whole|all|invert|edge|share|covers|fills|full|%|area|volume", False
    else:
        write_nifti(path, labels[..., None], affine)
    return Case(kind, f"CAMUS labels: {name}", "camus", root, [truth], words, readable=readable)


def camus_text(rng: np.random.Generator, root: Path) -> Case:
    """Info files and lists in other encodings; beside the frames, what they tell must be right or told."""
    pair = [pick(rng, phases) for phases in hearts()[:2]]
    text = "ED: 1\nES: 4\nNbFrame: 4\nSex: F\nAge: 56\nImageQuality: Médiocre\nLVef: 63.2\n"
    coding = pick(rng, ("utf-8-sig", "utf-16", "latin-1", "gb18030", "cp1252"))
    for number, truth in enumerate(pair, start=1):
        write_camus(root, f"patient000{number}", {"ED": truth})
    where = root / "patient0001" / "Info_4CH.cfg"
    text = text.replace("Médiocre", "中等") if coding == "gb18030" else text
    write_text(where, text, coding, pick(rng, ("\n", "\r\n")))
    words = "encod|text|character|Info_4CH|facts"
    return Case("K6", f"Info_4CH.cfg in {coding}", "camus", root, pair, words)


def camus_lists(rng: np.random.Generator, root: Path) -> Case:
    trio = [pick(rng, phases) for phases in hearts()[:3]]
    for number, truth in enumerate(trio, start=1):
        write_camus(root, f"patient000{number}", {"ED": truth})
    coding, newline = pick(rng, ("utf-8-sig", "utf-16", "utf-8")), pick(rng, ("\n", "\r\n"))
    for subset, names in (("training", [1, 3]), ("validation", [2])):
        text = "".join(f"patient000{number}\n" for number in names)
        write_text(root / "database_split" / f"subgroup_{subset}.txt", text, coding, newline)
    fault = f"split lists in {coding}, ends {newline!r}"
    subsets = ["training", "validation", "training"]
    return Case("K6", fault, "camus", root, trio, "subgroup|split|encod|text", subsets=subsets)


def camus_among(rng: np.random.Generator, root: Path) -> Case:
    """One frame of several has no labels, or bad ones."""
    goods = [pick(rng, phases) for phases in hearts()[:3]]
    for number, truth in enumerate(goods, start=1):
        write_camus(root, f"patient000{number}", {"ED": truth})
    bad = heart(rng)
    folder = write_camus(root, "patient0099", {"ED": bad})
    path = folder / "patient0099_4CH_ED_gt.nii.gz"
    name = pick(rng, ("has no labels", "has labels of another size", "has labels to 200", "holds fewer bytes"))
    if name == "has no labels":
        path.unlink()
    elif name == "has labels of another size":
        write_nifti(path, label_map(bad.mask).T[::2, ::2], upright_affine(bad.spacing))
    elif name == "has labels to 200":
        write_nifti(path, (label_map(bad.mask).T * 66).astype(np.uint8), upright_affine(bad.spacing))
    else:
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1000]))
    return Case("K7", f"one CAMUS patient {name}", "camus", root, goods, "patient0099", among=True, damaged=True)


# Video


def video_count(rng: np.random.Generator, root: Path) -> Case:
    """An AVI whose header states another number of frames than there are."""
    truths = [even(truth) for truth in cine(rng)]
    path = write_video(root / "a.avi", [truth.image for truth in truths])
    data = bytearray(path.read_bytes())
    stated = len(truths) + int(pick(rng, (1, 3, 50, -1, -2)))
    stream = data.find(b"strh")
    for place in (data.find(b"avih") + 8 + 16, stream + 8 + 32):
        data[place : place + 4] = stated.to_bytes(4, "little")
    path.write_bytes(bytes(data))
    shown = [truth.alone() for truth in truths]
    fault = f"AVI of {len(truths)} frames that states {stated}"
    return Case("K2", fault, "open", path, shown, COUNTS, damaged=stated > len(truths))


def turned_video(rng: np.random.Generator, root: Path) -> Case:
    """An MP4 stored upside down, as telephones do, with a matrix that says so."""
    truths = [even(truth) for truth in cine(rng)]
    path = write_video(root / "a.mp4", [np.rot90(truth.image, 2).copy() for truth in truths], "mp4v")
    data = bytearray(path.read_bytes())
    place = data.find(b"tkhd") + 4 + 40
    for offset in (0, 16):
        data[place + offset : place + offset + 4] = (-0x10000).to_bytes(4, "big", signed=True)
    path.write_bytes(bytes(data))
    fault = "MP4 turned by 180 degrees, its matrix says so"
    return Case("K2", fault, "open", path, [truth.alone() for truth in truths], TURNED)


# EchoNet's layout


def write_echonet(
    root: Path, videos: dict[str, list[Any]], traced: int = 1, coding: str = "utf-8", newline: str = "\n"
) -> None:
    """Videos of 112 x 112 pixels by name, each traced in its first frame and in frame `traced`."""
    rows = ["FileName,X1,Y1,X2,Y2,Frame"]
    listed = ["FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"]
    for name, truths in videos.items():
        write_video(root / "Videos" / f"{name}.avi", [truth.image for truth in truths])
        listed.append(f"{name},55.1,30.2,67.3,112,112,50,{len(truths)},TRAIN")
        for frame in (0, traced):
            rows += [f"{name}.avi,{','.join(map(str, chord))},{frame}" for chord in _chords(truths[frame].mask)]
    write_text(root / "FileList.csv", "\n".join(listed) + "\n", coding, newline)
    write_text(root / "VolumeTracings.csv", "\n".join(rows) + "\n", coding, newline)


def _chords(mask: np.ndarray) -> list[tuple[float, ...]]:
    """The long axis and a chord a row, from wall to wall."""
    rows = np.flatnonzero(mask.any(axis=1))
    ends = [(np.flatnonzero(mask[row])[0] - 0.5, np.flatnonzero(mask[row])[-1] + 0.5) for row in rows]
    chords = [(left, float(row), right, float(row)) for row, (left, right) in zip(rows, ends, strict=True)]
    first, last = (*ends[0], rows[0] - 0.5), (*ends[-1], rows[-1] + 0.5)
    caps = [(left, row, right, row) for left, right, row in (first, last)]
    axis = (np.mean(ends[0]), rows[0], np.mean(ends[-1]), rows[-1])
    return [tuple(float(v) for v in chord) for chord in (axis, caps[0], *chords, caps[1])]


def solid(mask: np.ndarray) -> np.ndarray:
    """Without dents: what chords from wall to wall enclose."""
    return np.maximum.accumulate(mask, axis=1) & np.maximum.accumulate(mask[:, ::-1], axis=1)[:, ::-1]


def small_cine(phases: Any) -> list[Any]:
    small = [resized(truth, 112, 112) for truth in phases]
    return [truth._replace(mask=solid(truth.mask)) for truth in small]


def echonet_text(rng: np.random.Generator, root: Path) -> Case:
    videos = {f"0X{letter}": small_cine(hearts()[i]) for i, letter in enumerate("AB")}
    coding, newline = pick(rng, (("utf-8-sig", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-8", "\r\n")))
    write_echonet(root, videos, 3, coding, newline)
    shown = [truths[i] for truths in videos.values() for i in (0, 3)]
    fault = f"EchoNet's tables in {coding}, ends {newline!r}"
    return Case("K6", fault, "echonet", root, shown, "encod|text|character")


def echonet_among(rng: np.random.Generator, root: Path) -> Case:
    videos = {f"0X{letter}": small_cine(hearts()[i]) for i, letter in enumerate("ABC")}
    write_echonet(root, videos, 3)
    table, listed = root / "VolumeTracings.csv", root / "FileList.csv"
    lines = table.read_text().splitlines()
    good = [line for line in lines if "0XB" not in line]
    bad = [line for line in lines if "0XB" in line]
    name = pick(rng, ("is traced by one chord", "is traced past its end", "isn't there", "has a tracing outside",
                      "has a point that is no number", "isn't in FileList.csv"))  # fmt: skip
    if name == "is traced by one chord":
        bad = [*(line for line in bad if line.endswith(",0")), bad[-1]]
    elif name == "is traced past its end":
        bad = [line[:-2] + ",77" if line.endswith(",3") else line for line in bad]
    elif name == "isn't there":
        (root / "Videos" / "0XB.avi").unlink()
    elif name == "has a tracing outside":
        bad = [_moved(line, 300) if line.endswith(",3") else line for line in bad]
    elif name == "has a point that is no number":
        bad[5] = bad[5].replace(bad[5].split(",")[1], "nan", 1)
    else:
        listed.write_text("\n".join(line for line in listed.read_text().splitlines() if "0XB" not in line) + "\n")
    write_text(table, "\n".join(good + bad) + "\n")
    whole = {"is traced by one chord": (0,), "is traced past its end": (0,), "has a tracing outside": (0,),
             "has a point that is no number": (3,)}.get(name, ())  # fmt: skip
    shown = [*(videos["0XA"][i] for i in (0, 3)), *(videos["0XB"][i] for i in whole)]
    shown += [videos["0XC"][i] for i in (0, 3)]
    return Case("K7", f"of three videos one {name}", "echonet", root, shown, "0XB", among=True, damaged=True)


def _moved(line: str, by: float) -> str:
    name, x1, y1, x2, y2, frame = line.split(",")
    return ",".join([name, str(float(x1) + by), y1, str(float(x2) + by), y2, frame])


def echonet_size(rng: np.random.Generator, root: Path) -> Case:
    """Traced on videos of another size than those beside the tables."""
    videos = {"0XA": small_cine(hearts()[int(rng.integers(6))])}
    write_echonet(root, videos, 3)
    big = [resized(truth, 224, 224) for truth in hearts()[0]]
    write_video(root / "Videos" / "0XA.avi", [truth.image for truth in big])
    words = "size|112|224|pixels"
    return Case("K2", "EchoNet's table says 112 x 112, the video has 224", "echonet", root, (), words, readable=False)


# Sound


def sound_volume(rng: np.random.Generator, root: Path) -> Case:
    truths = cine(rng)
    single = rng.random() < 0.6
    truths = truths[:1] if single else truths
    path = root / pick(rng, ("a.nii", "a.nii.gz", "patient0001_2CH_ES.nii.gz"))
    stored = truths[0].image.T if single else np.stack([truth.image.T for truth in truths], axis=-1)
    if rng.random() < 0.3:
        stored = stored.astype(pick(rng, (np.int16, np.float32, np.float64)))
    affine = upright_affine(truths[0].spacing)
    write_nifti(path, stored, affine, **({"xyzt_units": 2} if rng.random() < 0.5 else {}))
    if rng.random() < 0.4:
        return Case("K2", "", "predict", path, truths)
    return Case("K2", "", "open", path, [truth.scaled() for truth in truths])


def sound_metaimage(rng: np.random.Generator, root: Path) -> Case:
    truth = heart(rng)
    path = write_mhd(root / "a.mhd", truth.image, truth.spacing)
    return Case("K2", "", "open", path, [truth.scaled()])


def sound_video(rng: np.random.Generator, root: Path) -> Case:
    truths = [even(truth) for truth in cine(rng)]
    ending, codec = pick(rng, ((".avi", "MJPG"), (".mp4", "mp4v")))
    path = write_video(root / f"a{ending}", [truth.image for truth in truths], codec)
    return Case("K2", "", "open", path, [truth.alone() for truth in truths], rate_hz=50.0)


def sound_camus(rng: np.random.Generator, root: Path) -> Case:
    truths, patients = [], []
    for number, phases in enumerate(hearts()[:3], start=1):
        write_camus(root, f"patient000{number}", {"ED": phases[0], "ES": phases[3]}, pick(rng, ("2CH", "4CH")))
        truths += [phases[0], phases[3]]
        patients += [f"patient000{number}"] * 2
    return Case("K2", "", "camus", root, truths, patients=patients)


def sound_echonet(rng: np.random.Generator, root: Path) -> Case:
    chosen = rng.permutation(len(hearts()))[:2]
    videos = {f"0X{letter}": small_cine(hearts()[i]) for i, letter in zip(chosen, "AB", strict=True)}
    write_echonet(root, videos, 3)
    shown = [truths[i] for truths in videos.values() for i in (0, 3)]
    return Case("K7", "", "echonet", root, shown, patients=["a", "a", "b", "b"])


FAULTS: list[Maker] = [
    turned_volume,
    turned_volume,
    careless_affine,
    axes,
    axes,
    unit,
    unit,
    two_matrices,
    values,
    label_as_image,
    metaimage,
    metaimage,
    camus_labels,
    camus_labels,
    camus_text,
    camus_lists,
    camus_among,
    video_count,
    turned_video,
    echonet_text,
    echonet_among,
    echonet_size,
]
SOUND: list[Maker] = [sound_volume, sound_volume, sound_metaimage, sound_video, sound_camus, sound_echonet]

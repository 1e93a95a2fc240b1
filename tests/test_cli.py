"""The command line: what it does on real outputs, and that a mistake gives one sentence, status 2 and no output."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
import typer

from benchmarks.real_data import CAMUS_MHD
from lvseg import cli, files
from lvseg.data.splits import Split
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.inference.segmenter import SHIPPED
from lvseg.phantom.heart import sample_patient
from lvseg.phantom.scanner import render
from lvseg.training.folder import OUTPUTS, RECEIPT
from tests.support import eagerly, needs_camus_mhd
from tests.support import lvseg as in_a_process

HEAVY = {"keras", "tensorflow", "jax", "torch", "numpy", "cv2", "pandas", "matplotlib", "scipy", "papermill"}


@pytest.fixture
def lvseg(monkeypatch, capsys):
    """Run the command line in this process: (status, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lvseg", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def one_sentence(status: int, error: str, *parts: str) -> None:
    """Status 2 and one line on stderr, which holds `parts`."""
    assert status == 2, error
    assert error.startswith("lvseg: ") and error.count("\n") == 1 and error.endswith("\n"), error
    assert "Traceback" not in error
    for part in parts:
        assert part in error


# Data sets made here


def write_labelme(folder: Path, patients: int = 5, frames: int = 2, label: str = "LV") -> None:
    """Bright squares on dark, outlined, two frames a patient; the image lies inside the JSON."""
    for patient in range(patients):
        for number in range(frames):
            image = np.full((60, 80), 30, np.uint8)
            x, y = 20 + 3 * patient, 15 + 2 * number
            image[y : y + 25, x : x + 20] = 200
            encoded = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
            points = [[x, y], [x + 20, y], [x + 20, y + 25], [x, y + 25]]
            shape = {"label": label, "points": points, "shape_type": "polygon"}
            path = folder / f"p{patient}" / f"p{patient}_{number}.json"
            files.write_json(path, {"shapes": [shape], "imageData": encoded, "imagePath": "none.png"})


def write_camus(folder: Path, patients: int = 5) -> None:
    """The official layout with the official split's files."""
    names = [f"patient{n:04d}" for n in range(1, patients + 1)]
    rng = np.random.default_rng(0)
    for name in names:
        (folder / "database_nifti" / name).mkdir(parents=True)
        for phase in ("ED", "ES"):
            base = folder / "database_nifti" / name / f"{name}_4CH_{phase}"
            image = rng.integers(0, 255, (80, 60), np.uint8)
            labels = np.zeros((80, 60), np.uint8)
            labels[20:50, 10:40] = 1
            for path, values in ((f"{base}.nii.gz", image), (f"{base}_gt.nii.gz", labels)):
                nibabel.save(nibabel.Nifti1Image(values, np.diag([-0.3, -0.3, 1, 1])), path)
    (folder / "database_split").mkdir()
    (folder / "database_split" / "subgroup_training.txt").write_text("\n".join(names[:-1]))
    (folder / "database_split" / "subgroup_validation.txt").write_text(names[-1])


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.fixture(scope="module")
def labelme(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("labelme")
    write_labelme(folder)
    return folder


@pytest.fixture(scope="module")
def run_folder(labelme, tmp_path_factory) -> Path:
    """A finished tiny run, trained by the command line in a process of its own."""
    folder = tmp_path_factory.mktemp("runs") / "first run"
    done = in_a_process(
        "train", "--out", folder, "--profile", "smoke", "--model", "unet", "--data", f"labelme:{labelme}",
        "--set", "size=32", "-s", "epochs=1", "-s", "clahe=none",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Dice" in done.stdout and done.stderr == ""
    return folder


# Lightness and help


def imported_by(code: str) -> set[str]:
    """Which heavy packages a fresh process has imported after `code`."""
    code += f"\nimport sys; print('HEAVY', *({HEAVY} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("HEAVY")[2].split())


def test_importing_lvseg_is_light():
    assert imported_by("import lvseg") == set()
    assert imported_by("import lvseg.clahe") >= {"numpy", "cv2"}  # so the test can fail


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["reproduce", "--help"], ["doctor"]])
def test_help_and_doctor_are_light(arguments):
    code = f"""
import sys
from lvseg import cli
sys.argv = ["lvseg", *{arguments}]
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code
"""
    assert imported_by(code) == set()


def commands() -> dict[str, typer.core.TyperCommand]:
    root = typer.main.get_command(cli.app)
    nested = {f"{name} {sub}": c for name, group in root.commands.items() for sub, c in _commands(group).items()}
    return {**{name: c for name, c in root.commands.items() if not _commands(c)}, **nested}


def _commands(command) -> dict:
    return getattr(command, "commands", {})


def examples() -> list[tuple[str, str]]:
    return [(name, text) for name, c in commands().items() for text in re.findall(r"`(lvseg [^`]+)`", c.help)]


def test_every_command_has_an_example_of_itself():
    told = examples()
    for name in commands():
        assert any(of == name and text.split()[1:][: len(name.split())] == name.split() for of, text in told), name


@pytest.mark.parametrize(("name", "example"), examples())
def test_examples_in_the_help_are_accepted(name, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(example)[1 + len(name.split()) :]
    context = commands()[name].make_context(name, arguments)
    cli._pairs(context.params.get("change"))
    if context.params.get("profile"):
        Experiment.of_profile(context.params["profile"], **cli._changes(context.params["change"]))


@pytest.mark.parametrize("name", ["", *commands()])
def test_help_is_shown(lvseg, name):
    status, out, _ = lvseg(*name.split(), "--help")
    assert status == 0 and "Usage: lvseg" in out


# What commands do


def test_doctor_names_a_profile(lvseg, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    status, out, _ = lvseg("doctor")
    assert status == 0 and "cores" in out and "memory GiB" in out and "Profile" in out
    assert re.search(r"backend\W+jax", out)


def test_a_cohort_is_made_checked_and_split(lvseg, tmp_path):
    folder = tmp_path / "my [phantoms]"
    status, out, _ = lvseg("data", "make", folder, "--patients", 3, "--frames", 2, "--seed", 1)
    assert status == 0 and f"--data labelme:{folder}" in out
    assert len(list(folder.rglob("*.json"))) == len(list(folder.rglob("*.png"))) == 6
    status, out, error = lvseg("data", "check", f"labelme:{folder}")
    assert status == 0 and error == ""
    assert re.search(r"frames\W+6\b", out) and re.search(r"patients\W+3\b", out)
    assert re.search(r"patients by patient\W+2 train, 0 are watched, 1 test", out)
    assert re.search(r"bad frames\W+0\b", out)
    status, out, _ = lvseg("data", "split", f"labelme:{folder}", tmp_path / "split.json")
    split = Split.load(tmp_path / "split.json")
    assert status == 0 and len(split.train) == 4 and len(split.test) == 2
    assert "4 frames of 2 patients train, none are watched, 2 frames of 1 patients test" in out
    assert "patients on two sides: 0" in out
    status, out, _ = lvseg("data", "split", f"labelme:{folder}", tmp_path / "leaky.json", "--by", "frame", "--folds", 2)
    assert status == 0 and re.search(r"^3 frames of \d patients train", out) and "patients on two sides: 0" not in out


def test_a_picture_on_both_sides_of_a_split_is_named(lvseg, tmp_path):
    for patient in range(4):
        for ending in ("", "_mask"):
            (tmp_path / "data" / f"p{patient}").mkdir(parents=True, exist_ok=True)
            picture = np.random.default_rng(patient % 3).integers(0, 2, (20, 20), np.uint8) * 255
            cv2.imwrite(str(tmp_path / "data" / f"p{patient}" / f"x{ending}.png"), picture)
    told = []
    for seed in range(4):
        out = tmp_path / f"{seed}.json"
        told.append(lvseg("data", "split", f"images:{tmp_path / 'data'}", out, "--folds", 4, "--seed", seed)[1])
    assert sum("p0_x and p3_x: 1.0000" in text or "p3_x and p0_x: 1.0000" in text for text in told) == 2


@pytest.mark.slow
def test_training_on_a_split_file(lvseg, labelme, tmp_path):
    lvseg("data", "split", f"labelme:{labelme}", tmp_path / "split.json", "--folds", 3, "--seed", 1)
    with eagerly():
        status, _, error = lvseg(
            "train", "--out", tmp_path / "run", "--profile", "smoke", "--model", "unet", "--data", f"labelme:{labelme}",
            "--set", "size=32", "-s", "epochs=1", "-s", f"split={tmp_path / 'split.json'}",
        )  # fmt: skip
    assert status == 0, error
    assert Split.load(tmp_path / "run" / "split.json") == Split.load(tmp_path / "split.json")


def test_check_names_every_bad_file(lvseg, tmp_path):
    write_camus(tmp_path)
    nifti = tmp_path / "database_nifti"
    cut(nifti / "patient0002" / "patient0002_4CH_ED.nii.gz")
    (nifti / "patient0003" / "patient0003_4CH_ES_gt.nii.gz").unlink()
    status, out, error = lvseg("data", "check", f"camus:{tmp_path}")
    assert status == 2 and re.search(r"frames\W+10\b", out) and re.search(r"missing files\W+1\b", out)
    lines = error.splitlines()
    assert len(lines) == 2 and all(line.startswith("lvseg: ") for line in lines)
    assert "patient0002_4CH_ED.nii.gz" in lines[0] and "patient0003_4CH_ES_gt.nii.gz" in lines[1]


@needs_camus_mhd
def test_check_of_camus(lvseg):
    status, out, error = lvseg("data", "check", f"camus:{CAMUS_MHD}")
    assert status == 0 and error == ""
    assert re.search(r"frames\W+20\b", out) and re.search(r"patients\W+5\b", out)
    assert re.search(r"view\W+10 2CH, 10 4CH", out) and re.search(r"phase\W+10 ED, 10 ES", out)


@pytest.mark.slow
@pytest.mark.xdist_group("run of the command line")
def test_a_runs_scores_are_printed_as_csv(lvseg, run_folder):
    status, out, error = lvseg("evaluate", run_folder)
    assert status == 0
    printed, kept = pd.read_csv(io.StringIO(out)), pd.read_csv(run_folder / "frames.csv")
    assert list(printed.frame) == list(kept.frame) and len(kept) == 2
    np.testing.assert_allclose(printed.dice, kept.dice, atol=5e-5)
    assert f"{kept.dice.mean():.4f}" in error


@pytest.mark.slow
@pytest.mark.xdist_group("run of the command line")
def test_a_run_predicts_the_masks_that_it_was_scored_by(lvseg, run_folder, labelme, tmp_path):
    with np.load(run_folder / "masks.npz") as kept:
        name = kept.files[0]
        expected = kept[name]
    annotation = json.loads(next(labelme.rglob(f"{name.partition('_')[2]}.json")).read_text())
    (tmp_path / "frame.png").write_bytes(base64.b64decode(annotation["imageData"]))
    status, out, error = lvseg("predict", "--weights", run_folder, "--out", tmp_path / "out", tmp_path / "frame.png")
    assert status == 0 and error.count("\n") <= 1 and "1 frames segmented" in out  # untrained, it may find anything
    mask = cv2.imread(str(tmp_path / "out" / "frame_mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, expected * 255)


@pytest.mark.slow
@pytest.mark.xdist_group("run of the command line")
def test_a_run_begins_with_the_network_of_another(run_folder, labelme, tmp_path):
    """Its size and kind too; only what is said differs."""
    options = ("--profile", "smoke", "--data", f"labelme:{labelme}", "-s", "epochs=1", "--from", run_folder)
    done = in_a_process("train", "--out", tmp_path / "next", *options)
    assert done.returncode == 0, done.stderr
    first, second = (files.read_json(folder / "experiment.json") for folder in (run_folder, tmp_path / "next"))
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"start", "clahe"} and second["start"].startswith(str(run_folder / "weights.keras#"))


@pytest.mark.slow
@pytest.mark.xdist_group("run of the command line")
def test_two_networks_predict_together(lvseg, run_folder, tmp_path):
    """The shipped one knows nothing but hearts; an untrained one that is sure of nothing changes its contour."""
    cv2.imwrite(str(tmp_path / "frame.png"), render(sample_patient(3, "adult"), 0).image)
    pairs = {"shipped": [SHIPPED], "both": [SHIPPED, run_folder], "twice": [SHIPPED, SHIPPED]}
    masks = {}
    for name, weights in pairs.items():
        options = [text for path in weights for text in ("--weights", path)]
        status, out, _ = lvseg("predict", *options, "--out", tmp_path / name, tmp_path / "frame.png")
        assert status == 0 and "1 frames segmented" in out
        masks[name] = cv2.imread(str(tmp_path / name / "frame_mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(masks["twice"], masks["shipped"])
    assert (masks["both"] != masks["shipped"]).any()


@pytest.mark.slow
@pytest.mark.xdist_group("run of the command line")
def test_predict_keeps_the_good_and_names_the_bad(lvseg, run_folder, tmp_path):
    cv2.imwrite(str(tmp_path / "good.png"), np.full((50, 40), 90, np.uint8))
    (tmp_path / "[b]bad\x1b.png").write_bytes(b"\x89PNG")
    inputs = (tmp_path / "good.png", tmp_path / "[b]bad\x1b.png", tmp_path / "missing.nii.gz")
    status, out, error = lvseg("predict", "--weights", run_folder, "--out", tmp_path / "[/o ut]", *inputs)
    assert status == 2 and "[/o ut]" in out
    lines = error.splitlines()
    bad = [line for line in lines if "not measured" not in line]  # what is said of the good one's mask
    assert len(bad) == 2 and "[b]bad?.png" in bad[1] and "missing.nii.gz" in bad[0]
    assert {path.name for path in (tmp_path / "[/o ut]").iterdir()} == {
        "good_mask.png", "good_overlay.png", "measurements.csv"
    }  # fmt: skip


def test_predict_tells_the_ejection_fraction_of_a_cine(lvseg, tmp_path):
    """A virtual patient from end-diastole to end-systole, by the shipped network."""
    patient = sample_patient(3, "adult")
    shown = [render(patient, share * patient.systole) for share in (0, 0.4, 0.7, 1)]
    spacing = shown[0].spacing_mm[0]
    frames = np.stack([frame.image.T for frame in shown], axis=-1)
    nibabel.save(nibabel.Nifti1Image(frames, np.diag([-spacing, -spacing, 1, 1])), tmp_path / "beat.nii.gz")
    status, out, _ = lvseg("predict", "--out", tmp_path / "out", tmp_path / "beat.nii.gz")
    assert status == 0 and "4 frames segmented" in out
    told = re.search(r"beat\.nii\.gz: ED beat_0001 [\d.]+ ml, ES beat_0004 [\d.]+ ml, single-plane EF (\d+) %", out)
    assert told and int(told[1]) == pytest.approx(100 * patient.ejection_fraction, abs=15)


@pytest.mark.slow
@pytest.mark.xdist_group("run of the command line")
def test_predict_is_quiet_about_what_decoders_say_and_tells_no_ejection_fraction_of_half_a_cine(run_folder, tmp_path):
    video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20, (64, 64))
    for _ in range(4):
        video.write(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    video.release()
    cut(tmp_path / "v.avi")
    frame = nibabel.Nifti1Image(np.zeros((20, 30), np.uint8), np.eye(4))
    nibabel.save(frame, tmp_path / "flat.nii")
    header = bytearray((tmp_path / "flat.nii").read_bytes())
    header[80:84] = bytes(4)  # pixdim[1]: a pixel of no width
    (tmp_path / "flat.nii").write_bytes(header)
    (tmp_path / "torn.dcm").write_bytes(Path(pydicom.examples.get_path("ybr_color")).read_bytes()[:100_000])
    done = in_a_process("predict", "--weights", run_folder, "--out", tmp_path / "out", tmp_path)
    assert done.returncode == 2 and "segmented" in done.stdout and "EF" not in done.stdout
    lines = done.stderr.splitlines()
    assert len(lines) <= 6 and all(line.startswith("lvseg: ") for line in lines), done.stderr
    for name, said in {"v.avi": "cut short", "flat.nii": "0 x 1 mm", "torn.dcm": "ends within its pixels"}.items():
        assert sum(name in line and said in line for line in lines) == 1


def test_two_folders_of_masks_are_compared(lvseg, tmp_path):
    """One mask right, one shifted by half its width: Dice 1 and 0.5."""
    for folder, ending, shift in (("truth", "", 0), ("predicted", "_mask", 10)):
        (tmp_path / folder).mkdir()
        for name, moved in (("a", 0), ("b", shift)):
            mask = np.zeros((40, 60), np.uint8)
            mask[10:30, 10 + moved : 30 + moved] = 255
            cv2.imwrite(str(tmp_path / folder / f"{name}{ending}.png"), mask)
    status, out, error = lvseg("evaluate", tmp_path / "predicted", tmp_path / "truth")
    table = pd.read_csv(io.StringIO(out))
    assert status == 0 and list(table.frame) == ["a", "b"] and list(table.dice) == [1.0, 0.5]
    assert "0.7500" in error


# Mistakes

TRAIN = ("train", "--profile", "smoke", "--out", "OUT")
REPRODUCE = ("reproduce", "--profile", "smoke", "--out", "OUT")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((*TRAIN, "--model", "vnet"), ["model='vnet'", "unet"]),
        ((*TRAIN, "--profile", "huge"), ["'huge'", "smoke, class, fine, paper"]),
        ((*TRAIN, "--data", "mri:DIR"), ["'mri:", "labelme:DIR"]),
        ((*TRAIN, "--data", "labelme"), ["'labelme'", "labelme:DIR"]),
        ((*TRAIN, "--data", "labelme:DIR/nowhere"), ["nowhere", "no such folder"]),
        ((*TRAIN, "--data", "labelme:EMPTY"), ["EMPTY", "labelme"]),
        ((*TRAIN, "--data", "images:DIR"), ["can't be split by patient"]),
        ((*TRAIN, "--set", "size"), ["'size'", "NAME=VALUE"]),
        ((*TRAIN, "--set", "=3"), ["NAME=VALUE"]),
        ((*TRAIN, "--set", "size=40"), ["size=40"]),
        ((*TRAIN, "--set", "epochs=many"), ["epochs='many'"]),
        ((*TRAIN, "--set", "rate=NaN"), ["rate=nan"]),
        ((*TRAIN, "--set", "precision=half"), ["precision='half'", "'auto', 'float32', 'bfloat16' or 'float16'"]),
        ((*TRAIN, "--set", "sise=64"), ["'sise'", "size"]),
        ((*TRAIN, "--set", "split=doctor"), ["split='doctor'", "patient"]),
        ((*TRAIN, "--set", "model=unet"), ["--model"]),
        ((*TRAIN, "--set", "profile=class"), ["--profile"]),
        ((*TRAIN, "--set", "split=own"), ["own"]),
        ((*REPRODUCE, "--model", "vnet"), ["model='vnet'"]),
        ((*REPRODUCE, "--profile", "huge"), ["'huge'"]),
        ((*REPRODUCE, "--seed", "-1"), ["seed=-1"]),
        ((*REPRODUCE, "--set", "seed=3"), ["--seed"]),
        ((*REPRODUCE, "--set", "sise=64"), ["'sise'"]),
        ((*REPRODUCE, "--data", "camus:EMPTY"), ["EMPTY", "camus"]),
        ((*REPRODUCE, "--workflow-profile", "DIR/nowhere"), ["nowhere"]),
        (("data", "check", "labelme:EMPTY"), ["EMPTY"]),
        (("data", "check", "images:DIR"), ["a.png", "has no mask"]),
        (("data", "split", "labelme:EMPTY", "OUT"), ["EMPTY"]),
        (("data", "split", "images:DIR", "OUT", "--by", "doctor"), ["'doctor'", "patient"]),
        (("data", "split", "images:DIR", "OUT"), ["can't be split by patient"]),
        ((*TRAIN, "--set", "split=DIR/list.json"), ["list.json"]),
        ((*TRAIN, "--set", "split=DIR/gone.json"), ["gone.json", "lvseg data split"]),
        ((*TRAIN, "--from", "DIR"), ["DIR", "no valid receipt"]),
        ((*TRAIN, "--set", "start=DIR/gone.keras"), ["gone.keras", "weights.keras of a finished run"]),
        ((*TRAIN, "--set", "skip_bad=1"), ["skip_bad: has an option of its own; give it as --skip-bad"]),
        ((*TRAIN, "--set", "patients=a.csv"), ["give it as --patients"]),
        (("evaluate", "DIR"), ["DIR", "receipt"]),
        (("evaluate", "DIR/nowhere"), ["nowhere"]),
        (("evaluate", "DIR/a.png"), ["a.png"]),
        (("evaluate", "EMPTY", "DIR"), ["EMPTY", "no mask for a"]),
        (("evaluate", "DIR", "EMPTY"), ["EMPTY"]),
        (("predict", "DIR/a.png", "--weights", "DIR", "--out", "OUT"), ["weights.onnx", "finished run"]),
        (("predict", "DIR/a.png", "--weights", "DIR/nowhere.keras", "--out", "OUT"), ["nowhere.keras"]),
        (("predict", "DIR/a.png", "--weights", "DIR/a.png", "--out", "OUT"), ["a.png", "export the network as one"]),
        (
            ("predict", "DIR/a.png", "--weights", "DIR/gone", "--out", "OUT"),
            ["gone", "there is no such file or folder"],
        ),
        (("notebook", "77", "--out", "OUT"), ["'77'", "05_training"]),
        (("notebook", "05", "--out", "OUT", "-p", "colour=3"), ["'colour'", "seed"]),
        (("notebook", "05", "--out", "OUT", "-p", "seed=first"), ["seed='first'", "int"]),
        (("notebook", "05", "--out", "OUT", "-p", "model=vnet"), ["model='vnet'"]),
        (("notebook", "05", "--out", "OUT", "-p", "seed"), ["NAME=VALUE"]),
        (("notebook", "05", "--out", "OUT", "--parameters", "DIR/a.png"), ["a.png", "JSON"]),
        (("notebook", "05", "--out", "OUT", "--parameters", "DIR/list.json"), ["list.json", "JSON object"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_told_in_one_sentence_and_nothing_is_made(lvseg, tmp_path, arguments, parts):
    places = {"DIR": tmp_path / "DIR", "EMPTY": tmp_path / "EMPTY", "OUT": tmp_path / "OUT"}
    for place in (places["DIR"], places["EMPTY"]):
        place.mkdir()
    cv2.imwrite(str(places["DIR"] / "a.png"), np.full((20, 20), 9, np.uint8))
    (places["DIR"] / "list.json").write_text("[1]")
    arguments = [re.sub("DIR|EMPTY|OUT", lambda m: str(places[m[0]]), text) for text in arguments]
    before = sorted(tmp_path.rglob("*"))
    status, out, error = lvseg(*arguments)
    one_sentence(status, error, *parts)
    assert sorted(tmp_path.rglob("*")) == before, out


@pytest.mark.parametrize("command", ["train", "reproduce", "predict", "data make", "data split", "notebook"])
@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(lvseg, tmp_path, labelme, command, place):
    (tmp_path / "file").write_text("kept")
    out = tmp_path / place
    arguments = {
        "train": ("train", "--out", out),
        "reproduce": ("reproduce", "--out", out),
        "predict": ("predict", tmp_path, "--out", out),
        "data make": ("data", "make", out),
        "data split": ("data", "split", f"labelme:{labelme}", out / "split.json"),
        "notebook": ("notebook", "05", "--out", out / "05.ipynb"),
    }[command]
    status, _, error = lvseg(*arguments)
    one_sentence(status, error, str(tmp_path / "file"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "kept"


def test_a_split_is_not_written_over_a_folder(lvseg, tmp_path, labelme):
    status, _, error = lvseg("data", "split", f"labelme:{labelme}", tmp_path)
    one_sentence(status, error, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def spoil_camus(folder: Path) -> Path:
    write_camus(folder)
    return cut(folder / "database_nifti" / "patient0005" / "patient0005_4CH_ES.nii.gz")


def spoil_labelme(folder: Path) -> Path:
    write_labelme(folder)
    path = folder / "p4" / "p4_1.json"
    path.write_text(path.read_text().replace('"LV"', '"left atrium"'))
    return path


def spoil_images(folder: Path) -> Path:
    for patient in range(5):
        for ending in ("", "_mask"):
            (folder / f"p{patient}").mkdir(exist_ok=True)
            cv2.imwrite(str(folder / f"p{patient}" / f"x{ending}.png"), np.zeros((20, 20), np.uint8))
    cv2.imwrite(str(folder / "p4" / "x_mask.png"), np.zeros((21, 20), np.uint8))
    return folder / "p4" / "x_mask.png"


def unmask_images(folder: Path) -> Path:
    mask = spoil_images(folder)
    mask.unlink()
    return mask


@pytest.mark.parametrize("command", ["train", "reproduce"])
@pytest.mark.parametrize("spoil", [spoil_camus, spoil_labelme, spoil_images, unmask_images])
def test_one_bad_file_stops_a_run_before_it_starts(lvseg, tmp_path, command, spoil):
    folder, out = tmp_path / "data", tmp_path / "out"
    folder.mkdir()
    bad = spoil(folder)
    kind = spoil.__name__.partition("_")[2]
    status, _, error = lvseg(command, "--profile", "smoke", "--data", f"{kind}:{folder}", "--out", out)
    one_sentence(status, error, str(bad))
    assert not out.exists()


@pytest.mark.parametrize("command", ["train", "reproduce"])
def test_bad_data_end_a_real_process_with_status_2(tmp_path, command):
    (tmp_path / "empty").mkdir()
    done = in_a_process(command, "--data", f"camus:{tmp_path / 'empty'}", "--out", tmp_path / "out", timeout=60)
    one_sentence(done.returncode, done.stderr, str(tmp_path / "empty"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.xdist_group("run of the command line")
def test_a_changed_run_is_no_longer_a_finished_one(lvseg, run_folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (*OUTPUTS, RECEIPT):
        (copy / name).write_bytes((run_folder / name).read_bytes())
    assert lvseg("evaluate", copy)[0] == 0
    (copy / "frames.csv").write_text((copy / "frames.csv").read_text().replace("0.", "1.", 1))
    status, out, error = lvseg("evaluate", copy)
    one_sentence(status, error, str(copy), "receipt")
    assert out == ""


def test_a_failed_run_ends_with_status_1(lvseg, monkeypatch, tmp_path):
    from lvseg.course import notebooks
    from lvseg.course import reproduce as course

    def fail(*_, **__):
        raise notebooks.RunError("the kernel died")

    monkeypatch.setattr(course, "reproduce", fail)
    status, _, error = lvseg("reproduce", "--out", tmp_path)
    assert (status, error) == (1, "lvseg: the kernel died\n")


def test_a_message_stays_one_line_whatever_it_quotes(lvseg, monkeypatch, tmp_path):
    from lvseg.course import reproduce as course

    def fail(*_, **__):
        raise DataError("a\nfile\x1b[2J [red]\udce9")

    monkeypatch.setattr(course, "reproduce", fail)
    status, _, error = lvseg("reproduce", "--out", tmp_path)
    assert (status, error) == (2, "lvseg: a file?[2J [red]?\n")

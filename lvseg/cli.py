"""The command line: doctor, data, train, evaluate, predict, weights, cache, course, notebook, reproduce."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

import lvseg
from lvseg.errors import ConfigError, DataError, DataWarning, LvsegError

# Every command imports what it needs when it is called, so that help is quick.
app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Teach, reproduce and go beyond one paper on left-ventricle segmentation in echocardiography.",
)
data = typer.Typer(no_args_is_help=True, help="Make, check and split data sets.")
app.add_typer(data, name="data")
course = typer.Typer(no_args_is_help=True, help="Work through the course.")
app.add_typer(course, name="course")
networks = typer.Typer(no_args_is_help=True, help="Use networks that were made elsewhere.")
app.add_typer(networks, name="weights")
console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)  # file names are no markup

OWN_OPTIONS = ("model", "data", "seed", "profile", "skip_bad", "patients")
"""What has an option of its own, so that --set doesn't take it."""


def main() -> None:
    """Run the command line; a user's mistake ends with one sentence and status 2, a failed run with status 1."""
    _quieten_libraries()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be more than the terminal can show
    try:
        app(prog_name="lvseg")
    except (ConfigError, DataError) as error:
        _say(str(error))
        sys.exit(2)
    except LvsegError as error:
        _say(str(error))
        sys.exit(1)
    except OSError as error:  # a file that is gone, a full disk, a file in a folder's place, a read-only folder
        _say(f"{error.filename or 'a file'}: {error.strerror or error}; mend that or name another place")
        sys.exit(2)


def _quieten_libraries() -> None:
    """Keep what decoders print about a damaged file off stderr: our one sentence says it."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = _tell_once


_told: set[str] = set()


def _tell_once(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print what readers tell of a file, once however many of its frames are read."""
    if str(message) not in _told:
        _told.add(str(message))
        _say(str(message))


def _say(sentence: str) -> None:
    """One line on stderr, whatever the names in it hold."""
    line = " ".join(sentence.split())
    print(f"lvseg: {''.join(c if c.isprintable() else '?' for c in line)}", file=sys.stderr)


def _folder_to_write(folder: Path) -> Path:
    """Refuse, before any work is done, an output folder that can't be made or written; nothing is made yet."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ConfigError(f"{folder}: can't be a folder, as {existing} is a file; choose another")
    if not os.access(existing, os.W_OK):
        raise ConfigError(f"{folder}: can't be written, as {existing} is read-only; choose another")
    return folder


def _pairs(texts: list[str] | None) -> dict[str, Any]:
    """`name=value` texts as a dictionary; values are JSON where they can be, else plain text."""
    pairs: dict[str, Any] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"{text!r} is no NAME=VALUE")
        try:
            pairs[name] = json.loads(value)
        except ValueError:
            pairs[name] = value
    return pairs


def _changes(texts: list[str] | None) -> dict[str, Any]:
    """What `--set` asks for."""
    changes = _pairs(texts)
    if own := [name for name in OWN_OPTIONS if name in changes]:
        raise ConfigError(f"--set {own[0]}: has an option of its own; give it as --{own[0].replace('_', '-')}")
    return changes


def _table(title: str, rows: list[tuple[str, str]]) -> None:
    table = Table(title=title, show_header=False, title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _allow_cpu(asked: bool) -> None:
    """Tell it to the processes that train, whoever starts them."""
    if asked:
        from lvseg.machine import ALLOW_CPU

        os.environ[ALLOW_CPU] = "1"


Changes = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="Change one choice of the experiment; repeat for more."),
]
Source = Annotated[
    str,
    typer.Option("--data", help="phantom, or camus, camus_cine, labelme, images, echonet or pediatric with :DIR."),
]
SkipBad = Annotated[
    bool,
    typer.Option("--skip-bad", help="Leave out frames that can't be used instead of refusing; the receipt says which."),
]
Patients = Annotated[
    Path | None,
    typer.Option("--patients", help="A CSV file with the columns file and patient; else patients.csv in the data."),
]
Profile = Annotated[str, typer.Option(help="smoke, class, fine or paper: one code path, other sizes.")]
AllowCpu = Annotated[
    bool,
    typer.Option(
        "--allow-cpu", callback=_allow_cpu, help="Train on the processor though there is a GPU that isn't seen."
    ),
]


def _say_version(asked: bool) -> None:
    if asked:
        console.print(f"lvseg {lvseg.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which lvseg this is.")
    ] = False,
) -> None:
    """What the command line takes without a command."""


@app.command()
def doctor() -> None:
    """Say what this machine is and which profile fits it.

    Example: `lvseg doctor`
    """
    from lvseg import machine

    facts = machine.describe()
    _table("This machine", [(name, str(value)) for name, value in facts.items()])
    console.print(machine.fitting_profile(facts))
    if facts["GPU"] != "none" and facts["backend"] != "none" and not facts["GPUs seen"]:
        console.print(machine.unseen_gpu(facts["GPU"]))


@data.command("make")
def data_make(
    folder: Annotated[
        Path, typer.Argument(callback=_folder_to_write, help="Gets LabelMe folders, one per virtual patient.")
    ],
    patients: Annotated[int, typer.Option(min=1)] = 10,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each patient.")] = 50,
    seed: Annotated[int, typer.Option(min=0)] = 2023,
) -> None:
    """Make a cohort of virtual patients, as PNG images with LabelMe outlines.

    Example: `lvseg data make my_phantoms --patients 5 --frames 10`
    """
    from lvseg.phantom.cohort import cohort
    from lvseg.readers import labelme

    labelme.write_labelme(cohort(patients, frames, seed), folder)
    console.print(
        f"{patients} virtual patients of {frames} frames in {folder}; train on them with --data labelme:{folder}"
    )


@data.command("sheet")
def data_sheet(
    source: Annotated[str, typer.Argument(metavar="KIND:DIR", help="Real frames.")],
    out: Annotated[Path, typer.Argument(help="The PNG to write, outside lvseg's folder.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Shuffle 16 phantoms among 16 real frames in one picture, with the key beside it: could you tell?

    Example: `lvseg data sheet camus:CAMUS_public /tmp/sheet.png`
    """
    from lvseg.data.source import open_source
    from lvseg.phantom.sheet import write_sheet

    write_sheet(open_source(source), out, seed)
    console.print(f"{out}, and which is which in {out.with_suffix('.csv')}")


@data.command("check")
def data_check(source: Annotated[str, typer.Argument(metavar="KIND:DIR")], patients: Patients = None) -> None:
    """Report what a data set holds, what is missing, look-alikes, and every bad file.

    Example: `lvseg data check labelme:my_phantoms`
    """
    from lvseg.data.check import check

    found = check(source, patients)
    counts = {"view": found.views, "phase": found.phases, "subset": found.subsets}
    rows = [("frames", str(found.frames)), ("patients", f"{found.patients}, {found.patients_by}")]
    rows += [(what, ", ".join(f"{n} {name or 'not known'}" for name, n in c.items())) for what, c in counts.items()]
    for kind, sides in found.sides.items():
        train, watch, test = (side["patients"] for side in sides.values())
        rows.append((f"patients by {kind}", f"{train} train, {watch} are watched, {test} test"))
    rows += [(f"{fact} told", str(n)) for fact, n in found.facts.items()]
    rows += [("pixel size known", str(found.spaced)), ("missing files", str(len(found.missing)))]
    rows += [("bad frames", str(len(found.bad))), ("look-alikes", str(len(found.twins)))]
    rows += [("empty masks", str(len(found.empty))), ("masks in several parts", str(len(found.divided)))]
    rows += [("doubtful masks", str(len(found.doubtful)))]
    _table(source, rows)
    for name in found.empty:
        console.print(f"{name}: its mask is empty")
    for name in found.divided:
        console.print(f"{name}: its mask has several parts")
    for name, sentence in found.doubtful.items():
        console.print(f"{name}: {sentence}")
    for pair in found.twins:
        console.print(f"{' and '.join(pair)} show nearly the same picture: keep them on one side of a split")
    if found.doubt:
        console.print(found.doubt)
    for sentence in found.bad.values():
        _say(sentence)
    if found.bad:
        raise typer.Exit(2)


@data.command("split")
def data_split(
    source: Annotated[str, typer.Argument(metavar="KIND:DIR")],
    out: Annotated[Path, typer.Argument(help="The JSON file to write.")],
    by: Annotated[str, typer.Option(help="patient, frame or own (the data set's own).")] = "patient",
    seed: Annotated[int, typer.Option(min=0, help="Chooses which fold is tested.")] = 0,
    folds: Annotated[int, typer.Option(min=2, help="How many folds there are.")] = 5,
    patients: Patients = None,
) -> None:
    """Write who trains, is watched, and tests as a file with a checksum, and name what would leak across it.

    Every eighth patient who would train is watched instead: to look at while a network learns, and to choose by.

    Train on it with `--set split=split.json`.

    Example: `lvseg data split labelme:my_phantoms split.json --folds 10 --seed 3`
    """
    from lvseg.data import splits
    from lvseg.data.check import near_duplicates
    from lvseg.data.source import apart, open_source

    frames, beside = open_source(source, patients), apart(source)
    split = splits.split_frames(frames, by, seed, folds, beside)
    alike = near_duplicates(frames, split)
    split.save(out)
    everyone = [*frames, *beside]
    console.print(f"{splits.told(splits.counts(everyone, split))}; by {by}, in {out}")
    console.print(f"patients: {len({frame.patient for frame in frames})}, {splits.patients_by(frames)}")
    console.print(f"patients on two sides: {len(splits.divided_patients(everyone, split))}")
    console.print(f"test frames that show nearly the same picture as a training frame: {len(alike)}")
    for test, train, similarity in alike:
        console.print(f"{test} and {train}: {similarity:.4f}")


@app.command()
def train(
    out: Annotated[Path, typer.Option(callback=_folder_to_write, help="The run's folder.")],
    model: Annotated[
        str | None, typer.Option(help="unet, resunet or improved_resunet (which it is if not said).")
    ] = None,
    source: Source = "phantom",
    profile: Profile = "class",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    change: Changes = None,
    skip_bad: SkipBad = False,
    patients: Patients = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Begin with this finished run's network instead of random weights.")
    ] = None,
    allow_cpu: AllowCpu = False,
) -> None:
    """Train and evaluate one experiment in one folder; a killed run goes on where it was.

    Examples:

    - `lvseg train --out runs/first`
    - `lvseg train --out runs/real --data camus:CAMUS_public --set split=own --set epochs=20`
    - `lvseg train --out runs/mine --data labelme:corrected --from runs/real`
    """
    from lvseg.data.prepared import prepare
    from lvseg.data.source import open_source
    from lvseg.experiment import Experiment
    from lvseg.training import folder

    changes = {**(folder.network_of(start) if start else {}), **({"model": model} if model else {}), **_changes(change)}
    experiment = Experiment.of_profile(profile, data=source, seed=seed, **changes)
    # Bad data is refused before anything is written or Keras is loaded.
    prepared = prepare(experiment, open_source(source, patients), skip_bad)
    from lvseg.training.run import train

    train(prepared, out)


@app.command()
def evaluate(
    predicted: Annotated[Path, typer.Argument(help="A finished run's folder, or a folder of masks.")],
    truth: Annotated[Path | None, typer.Argument(help="A folder of true masks with the same names.")] = None,
) -> None:
    """Print a finished run's scores as CSV, or score a folder of masks against another.

    Examples:

    - `lvseg evaluate runs/first`
    - `lvseg evaluate predicted_masks true_masks`
    """
    from lvseg import evaluation, files
    from lvseg.training.folder import Run

    if truth is None:
        table = Run.load(predicted).scores
    else:
        table, taken = evaluation.compare_folders(predicted, truth)
        _say(taken)
    console.print(files.csv_text(table, float_format="%.4f"), end="")
    _say(f"mean Dice {table.dice.mean():.4f}, mean accuracy {table.acc.mean():.4f}, {len(table)} frames")


@app.command()
def predict(
    inputs: Annotated[
        list[Path], typer.Argument(help="Pictures, NIfTI, MetaImage, DICOM, video files, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(callback=_folder_to_write, help="Gets masks, overlays and measurements.csv.")],
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="A run's folder, an .onnx or a .keras file; the shipped one without. Repeat for an ensemble."
        ),
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(help="bfloat16 is faster where the processor has it; contours may differ by a pixel."),
    ] = "float32",
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Number the output; key.csv tells the names.")] = False,
    labelme: Annotated[bool, typer.Option("--labelme", help="Write outlines that LabelMe opens, too.")] = False,
    quality: Annotated[
        bool, typer.Option("--quality", help="Add how far each mask can be trusted, and overview.png, worst first.")
    ] = False,
) -> None:
    """Segment the LV in images: an upright mask, an overlay and measurements for each frame.

    What can't be a left ventricle isn't measured; the column `doubt` says why.

    Examples:

    - `lvseg predict echo.dcm --out masks`
    - `lvseg predict CAMUS_public/patient0001/patient0001_4CH_ED.nii.gz --weights runs/real --out masks`
    - `lvseg predict echo.dcm --weights runs/seed0 --weights runs/seed1 --out masks` (the mean of both)
    """
    from lvseg.inference.predict import ejection_fractions, predict
    from lvseg.inference.segmenter import SHIPPED, Ensemble, Segmenter
    from lvseg.training import folder

    chosen = weights or [SHIPPED]
    loads = [folder.segmenter if (path / folder.ONNX).exists() else Segmenter.load for path in chosen]
    members = [load(path, precision) for load, path in zip(loads, chosen, strict=True)]
    segmenter = members[0] if len(members) == 1 else Ensemble(members)
    table, problems = predict(segmenter, inputs, out, anonymous=anonymous, labelme=labelme, quality=quality)
    if len(table):
        console.print(f"{len(table)} frames segmented in {out}")
        whole = table[~table.file.isin(problems)]  # of a damaged cine, end-diastole or end-systole may be missing
        for cine in ejection_fractions(whole).itertuples():
            ef = cine.doubt or f"single-plane EF {cine.ef_percent:.0f} %"
            console.print(
                f"{cine.file}: ED {cine.ed_frame} {cine.edv_ml:.1f} ml, ES {cine.es_frame} {cine.esv_ml:.1f} ml, {ef}"
            )
    for sentence in problems.values():
        _say(sentence)
    if problems:
        raise typer.Exit(2)


@networks.command("describe")
def weights_describe(
    weights: Annotated[Path, typer.Argument(help="An .onnx or .keras file.")],
    size: Annotated[int | None, typer.Option(help="Of its images, where the file leaves it free.")] = None,
) -> None:
    """Write the JSON that `predict --weights` needs beside a network that was made elsewhere.

    What the file can't tell is guessed there, to be corrected by hand.

    Example: `lvseg weights describe my_unet.onnx --size 256`
    """
    from lvseg import files
    from lvseg.inference.foreign import describe
    from lvseg.inference.opened import open_network

    path = weights.with_suffix(".json")
    if path.exists():
        raise ConfigError(f"{path}: is there already; correct it, or remove it to have it written anew")
    description = describe(open_network(weights), weights, size)
    files.write_json(path, description.model_dump(exclude_none=True))
    console.print(
        f"{path}: {description.model_dump_json(exclude_none=True)}; correct in it what the file can't tell: clahe (as "
        "in training), black and white (the input for grey levels 0 and 255), output (probability or logit), threshold"
    )


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete what is kept; it is made anew when needed.")] = False,
) -> None:
    """Say where frames that were read once are kept, pixels of patients among them, and how large that is.

    Example: `lvseg cache --clear`
    """
    from lvseg import files

    kept = files.kept()
    size = sum(path.stat().st_size for path in kept)
    console.print(f"{files.cache_folder()}: {len(kept)} files, {size / 1e6:.1f} MB (LVSEG_CACHE names another place)")
    if clear:
        for path in kept:
            path.unlink(missing_ok=True)
        console.print("cleared")


@course.command("copy")
def course_copy(
    folder: Annotated[Path, typer.Argument(callback=_folder_to_write, help="Gets notebooks/ and data_samples/.")],
) -> None:
    """Copy the course's notebooks and samples into a folder of your own, to work in.

    Example: `lvseg course copy my_course`
    """
    from lvseg.course.copy import copy_course

    copy_course(folder)
    console.print(f"{folder}: open it with `jupyter lab {folder / 'notebooks' / '00_start_here.ipynb'}`")


@app.command()
def notebook(
    name: Annotated[str, typer.Argument(help="The notebook's name or number, such as 05.")],
    out: Annotated[Path, typer.Option(help="The executed notebook to write.")],
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="NAME=VALUE")] = None,
    parameters: Annotated[Path | None, typer.Option(help="A JSON file of parameters.")] = None,
) -> None:
    """Execute one notebook of the course by papermill, its parameters checked before the kernel starts.

    Example: `lvseg notebook 05 --out first.ipynb -p profile=smoke -p model=unet`
    """
    from lvseg import files
    from lvseg.course import notebooks

    given = files.read_json(parameters) if parameters else {}
    if not isinstance(given, dict):
        raise ConfigError(f"{parameters}: holds no names with values; write them as a JSON object")
    notebooks.run_notebook(name, out.resolve(), {**given, **_pairs(parameter)})


@app.command()
def reproduce(
    profile: Profile = "class",
    source: Source = "phantom",
    out: Annotated[Path, typer.Option(callback=_folder_to_write, help="Gets runs/ and report/.")] = Path(),
    model: Annotated[list[str] | None, typer.Option(help="Only these methods; repeat for more.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only these seeds; repeat for more.")] = None,
    change: Changes = None,
    workflow_profile: Annotated[
        Path | None, typer.Option(help="A Snakemake profile's folder, to run on a cluster.")
    ] = None,
    skip_bad: SkipBad = False,
    patients: Patients = None,
    allow_cpu: AllowCpu = False,
) -> None:
    """Reproduce the paper: notebook 05 once per method and seed, then 06; ends with report/index.html.

    Finished runs are kept, so the same command goes on after a kill.

    Examples:

    - `lvseg reproduce`
    - `lvseg reproduce --data camus:CAMUS_public`
    - `lvseg reproduce --profile smoke --out /tmp/try`
    """
    if workflow_profile is not None and not workflow_profile.is_dir():
        raise ConfigError(f"{workflow_profile}: there is no such folder; name one with a Snakemake profile")
    from lvseg.course.reproduce import reproduce

    page = reproduce(
        profile, source, out, model, seed, _changes(change), workflow_profile, skip_bad=skip_bad, patients=patients
    )
    console.print(f"done: {page}")


if __name__ == "__main__":
    main()

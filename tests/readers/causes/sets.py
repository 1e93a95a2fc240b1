"""Data sets: CAMUS, EchoNet, and what is true of all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from benchmarks.fuzz_readers import PICTURE, write_camus, write_echonet, write_nifti, write_picture, write_video
from tests.readers.causes import Cause


def echonet(table: str, *change: str):
    def make(root: Path) -> str:
        path = write_echonet(root) / table
        text = path.read_text()
        assert change[0] in text
        path.write_text(text.replace(*change, 1))
        return f"echonet:{root}"

    return make


def short_video(root: Path) -> str:
    write_video(write_echonet(root) / "Videos" / "0XA.avi", [20, 60])
    return f"echonet:{root}"


def listed_twice(root: Path) -> str:
    path = write_echonet(root) / "FileList.csv"
    path.write_text(path.read_text() + "0XA,55,45,100,112,112,50,4,TEST\n")
    return f"echonet:{root}"


def unlisted(root: Path) -> str:
    path = write_echonet(root) / "FileList.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "0XB" not in line))
    return f"echonet:{root}"


def semicolons(root: Path) -> str:
    path = write_echonet(root) / "FileList.csv"
    path.write_text(path.read_text().replace(",", ";"))
    return f"echonet:{root}"


def no_table(root: Path) -> str:
    (write_echonet(root) / "FileList.csv").write_text("")
    return f"echonet:{root}"


def without(name: str):
    def make(root: Path) -> str:
        (write_echonet(root) / name).unlink()
        return f"echonet:{root}"

    return make


def folder_for_a_table(root: Path) -> str:
    without("FileList.csv")(root)
    (root / "FileList.csv").mkdir()
    return f"echonet:{root}"


def camus(text: str | None = None, **split: str):
    def make(root: Path) -> str:
        folder = write_camus(root)
        if text is not None:
            (folder / "Info_4CH.cfg").write_bytes(text.encode("cp1252"))
        (root / "database_split").mkdir()
        for side, names in split.items():
            (root / "database_split" / f"subgroup_{side}.txt").write_text(names)
        return f"camus:{root}"

    return make


def unlabelled(testing: bool):
    def make(root: Path) -> str:
        (write_camus(root / "testing" if testing else root) / "patient0001_4CH_ED_gt.nii.gz").unlink()
        write_camus(root, "patient0002")
        return f"camus:{root}"

    return make


def nnunet(root: Path) -> str:
    write_nifti(root / "imagesTr" / "patient0001_4CH_ED_0000.nii.gz", PICTURE)
    return f"camus:{root}"


def odd_info(root: Path) -> str:
    info = write_camus(root) / "Info_4CH.cfg"
    info.unlink()
    info.mkdir()
    return f"camus:{root}"


def pipe(root: Path) -> Path:
    os.mkfifo(root / "a.png")
    return root / "a.png"


def same_names(root: Path) -> str:
    for name in ("a b.png", "a-b.png"):
        write_picture(root / name)
        write_picture(root / f"{name[:3]}_mask.png", np.zeros((24, 32), np.uint8))
    return f"images:{root}"


CAUSES = {
    "nothing there": Cause(lambda root: root / "gone", "{root}/gone: there is no such file or folder; check its name"),
    "nothing of the kind": Cause(lambda root: f"images:{root}", "{root}: holds no images data; is it the right place?"),
    "one name for two": Cause(same_names, "{root}/a-b.png: gives the same frame name as {root}/a b.png; rename one"),
    "a folder in a table's place": Cause(
        folder_for_a_table, "{root}/FileList.csv: isn't a file; put the data set's own file there"
    ),
    "a table that is gone": Cause(without("FileList.csv"), "{root}/FileList.csv: there is no such file; put it there"),
    "a video that is gone": Cause(
        without("Videos/0XA.avi"), "{root}/Videos/0XA.avi: there is no such file; put it there"
    ),
    "no table": Cause(no_table, "{root}/FileList.csv: can't be read as a table with commas; save it as CSV"),
    "a table whose rows have more cells than its header": Cause(
        echonet("VolumeTracings.csv", "0XB.avi,50,5,", "0XB.avi,50,5,0,"),
        "{root}/VolumeTracings.csv: can't be read as a table with commas; save it as CSV",
    ),
    "a table without a column": Cause(
        echonet("FileList.csv", "Split", "Side"),
        "{root}/FileList.csv: lacks the columns Split; is it the table of this data set?",
    ),
    "a table with semicolons": Cause(
        semicolons,
        "{root}/FileList.csv: lacks the columns FileName, Split; it is divided by semicolons, so save it with commas",
    ),
    "a row of no number": Cause(
        echonet("VolumeTracings.csv", "0XA.avi,50,5,50,95,1", "0XA.avi,50,5,50,95,soon"),
        "{root}/VolumeTracings.csv: row 46 has a Frame that is no number from 0 on; correct that row of 0XA",
    ),
    "a coordinate of no number": Cause(
        echonet("VolumeTracings.csv", "0XA.avi,39.5", "0XA.avi,nan"),
        "{root}/VolumeTracings.csv: the tracing of 0XA in its frame 2 (Frame 1) has a coordinate that "
        "is no number; correct it, or remove the rows of that frame",
    ),
    "a tracing of far away": Cause(
        echonet("VolumeTracings.csv", "0XA.avi,39.5", "0XA.avi,1e9"),
        "{root}/VolumeTracings.csv: the tracing of 0XA in its frame 2 (Frame 1) can't be an outline: 22 "
        "rows, with coordinates up to 1e+09; trace it again, or remove its rows",
    ),
    "a tracing of another size": Cause(
        echonet("VolumeTracings.csv", "0XA.avi,29.5", "0XA.avi,295"),
        "{root}/Videos/0XA.avi: the tracing of frame 4 leaves the picture of 112 x 112 pixels, so it "
        "was drawn on another size; bring the video that was traced",
    ),
    "a video of another size": Cause(
        echonet("FileList.csv", "0XA,55,45,100,112,112", "0XA,55,45,100,120,160"),
        "{root}/Videos/0XA.avi: has 112 x 112 pixels, but FileList.csv states 160 x 120, so it isn't "
        "the video that was traced; bring that one, or correct the row",
    ),
    "a frame past the end": Cause(
        short_video,
        "{root}/Videos/0XA.avi: has no frame 4, as it ends after 2; give a number that it has, or the whole video",
    ),
    "a video listed twice": Cause(listed_twice, "{root}/FileList.csv: lists 0XA twice; leave the row that is right"),
    "tracings of an unlisted video": Cause(
        unlisted, "{root}/VolumeTracings.csv: traces 1 videos that FileList.csv doesn't list, such as 0XB; passed over"
    ),
    "nnU-Net's folders": Cause(
        nnunet,
        "{root}: is laid out as for nnU-Net; put each image of imagesTr as patient0001_4CH_ED.nii.gz "
        "beside its map of labelsTr, named patient0001_4CH_ED_gt.nii.gz",
    ),
    "no labels": Cause(
        unlabelled(False),
        "{root}/patient0001/patient0001_4CH_ED_gt.nii.gz: there is no such file, the map of the labels "
        "of patient0001_4CH_ED.nii.gz; put it there",
    ),
    "no labels for testing": Cause(
        unlabelled(True),
        "{root}/testing/patient0001/patient0001_4CH_ED.nii.gz: 1 pictures of testing patients have no "
        "label map beside them and are left out; `lvseg predict` segments them",
    ),
    "a patient on two sides": Cause(
        camus(training="patient0001", validation="patient0001"),
        "{root}/database_split/subgroup_validation.txt: lists patient0001, who is in training too; "
        "leave one of the two",
    ),
    "a list of other words": Cause(
        camus(training="name\npatient0001"),
        "{root}/database_split/subgroup_training.txt: lists 'name', which is no patient's name such as patient0001",
    ),
    "facts in words": Cause(
        camus("EF: 54%\n"), "{root}/patient0001/Info_4CH.cfg: EF: not a plain number, such as 54.5, so left out"
    ),
    "facts in Latin-1": Cause(
        camus("ImageQuality: Médiocre\n"),
        "{root}/patient0001/Info_4CH.cfg: is neither UTF-8 nor UTF-16; its accents are read as Western "
        "European (cp1252): save it as UTF-8 if they look wrong",
    ),
    "a folder in the facts' place": Cause(
        odd_info,
        "{root}/patient0001/Info_4CH.cfg: isn't a file; put the data set's own file there; what it "
        "tells of the patient is left out",
    ),
    "a pipe": Cause(pipe, "{root}/a.png: isn't a file; put the data set's own file there"),
}

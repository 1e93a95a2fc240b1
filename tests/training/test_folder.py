"""A receipt holds for its experiment, its data and its files alone, and a run without one is no result."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.training.folder import OUTPUTS, RECEIPT, Run, gather, valid_receipt
from lvseg.training.run import train
from tests.training.support import TINY


@pytest.mark.xdist_group("finished run")
def test_a_receipt_holds_only_for_its_experiment_its_data_and_its_files(finished, tmp_path):
    data, folder, receipt, _ = finished
    assert valid_receipt(folder, data) == receipt
    other = Experiment.of_profile("smoke", **TINY, epochs=3, seed=1)
    assert valid_receipt(folder, replace(data, experiment=other)) is None
    assert valid_receipt(folder, replace(data, checksum=data.checksum[::-1])) is None
    for name in OUTPUTS:
        copy = tmp_path / name
        subprocess.run(["cp", "-r", folder, copy], check=True)
        (copy / name).write_bytes((copy / name).read_bytes() + b" ")
        assert valid_receipt(copy, data) is None, name


@pytest.mark.slow
@pytest.mark.xdist_group("reproduction")
def test_a_run_without_receipt_is_no_result(reproduction, tmp_path):
    copy = shutil.copytree(reproduction / "runs", tmp_path / "runs")
    victim = json.loads((copy / "plan.json").read_text())["runs"][1]
    (copy / victim / RECEIPT).unlink()
    with pytest.raises(DataError, match=f"{victim}: has no valid receipt"):
        gather(copy)


@pytest.mark.xdist_group("finished run")
def test_a_run_of_an_lvseg_with_other_choices_is_refused_with_what_changed(finished, tmp_path):
    data, folder, _, _ = finished
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    choices = json.loads((old / "experiment.json").read_text()) | {"augment": True}
    (old / "experiment.json").write_text(json.dumps(choices))
    for use in (lambda: Run.load(old), lambda: train(data, old, lambda line: None)):
        with pytest.raises(
            DataError, match=r"experiment\.json: is of an lvseg with other choices \(augment=True"
        ) as refused:
            use()
        assert "train that experiment anew" in str(refused.value)

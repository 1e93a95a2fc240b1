"""Published rows can be measured again, and a wrong name is told so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as program
from benchmarks.__main__ import BENCHMARKS
from benchmarks.table import RESULTS
from lvseg import networks
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.figures import graph

ROOT = Path(__file__).parents[1]
PUBLISHED = sorted({row["name"] for row in json.loads(RESULTS.read_text())})


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_row_has_a_benchmark_that_measures_it(name: str) -> None:
    assert name in BENCHMARKS
    package = RESULTS.parent / name
    source = package / "__init__.py" if package.is_dir() else package.with_suffix(".py")
    assert "\ndef measure(" in source.read_text()  # not imported: its peers may not be installed


def test_an_unknown_name_gets_the_list_of_names() -> None:
    command = [sys.executable, "-m", "benchmarks", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=RESULTS.parents[1])
    assert done.returncode and not done.stdout
    (sentence,) = done.stderr.splitlines()
    assert "'nonsense'" in sentence and all(name in sentence for name in BENCHMARKS)


def test_a_benchmark_that_cannot_run_here_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(error: Exception) -> SimpleNamespace:
        return SimpleNamespace(measure=lambda: (_ for _ in ()).throw(error))

    published: list[dict] = []
    monkeypatch.setattr(program, "publish", published.append)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "clahe", "gpu", "metrics", "resume"])
    monkeypatch.setitem(sys.modules, "benchmarks.clahe", without(ImportError(name="kornia")))
    monkeypatch.setitem(sys.modules, "benchmarks.gpu", SimpleNamespace(measure=lambda: {"name": "one"}))
    monkeypatch.setitem(sys.modules, "benchmarks.metrics", without(DataError("there is no such folder")))
    monkeypatch.setitem(sys.modules, "benchmarks.resume", SimpleNamespace(measure=lambda: iter([{"name": "two"}])))
    with pytest.raises(SystemExit) as end:
        program.main()
    assert published == [{"name": "one"}, {"name": "two"}]
    first, second = str(end.value).splitlines()
    assert "clahe" in first and "kornia" in first
    assert "metrics" in second and "there is no such folder" in second


@pytest.mark.slow
def test_the_gpu_benchmark_measures_a_step():
    """At a tiny size on the processor, in bfloat16."""
    command = [sys.executable, "-m", "benchmarks.gpu.step", "lvseg", "resunet", "bfloat16", "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["ms_per_image"]) >= 5 and found["images_per_s"] > 0 and found["peak_mib"] > 100
    flops = 6 * 31_309_824 * found["images_per_s"]  # multiply-adds of the same network written in PyTorch
    assert found["share_of_matmul"] * found["matmul_tflops"] * 1e12 == pytest.approx(flops, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["unet", "resunet", "improved_resunet"])
def test_the_gpu_benchmarks_peer_is_the_same_network(model):
    """Another framework's count of weights and multiply-adds agrees with ours."""
    pytest.importorskip("torch", reason="PyTorch is not installed; it is a peer in benchmarks only")
    from benchmarks.gpu import torch_peer

    experiment = Experiment.of_profile("paper", model=model, width=4, size=64)
    network, peer = networks.build(experiment), torch_peer.Network(model, 3, 4)
    assert sum(p.numel() for p in peer.parameters()) == sum(w.numpy().size for w in network.trainable_weights)
    assert torch_peer._multiply_adds(peer, experiment) == graph.per_stage(network).multiply_adds.sum()

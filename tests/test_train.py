"""The reference trainer: the loss falls, and an interruption leaves no trace."""

import inspect
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from conftest import hear_ctrl_c
from mixdata.errors import MixdataError, UsageError
from mixdata.progress import Progress
from mixdata.train import CROP_SECONDS, TrainResult, train
from mixdata.train.callbacks import Journal, read_metrics
from mixdata.train.checkpoint import load_checkpoint, load_model
from mixdata.train.losses import MixLoss
from mixdata.train.models.mixnet import MixNet, equalise, triangles
from mixdata.train.module import MixModule
from tiny_dataset import STEMS, write_tiny

SMALL = {"batch_size": 2, "crop": 0.4, "quiet": True, "accelerator": "cpu"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Steps this small only suffer from threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("train") / "set").path


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(tiny, 8, tmp_path_factory.mktemp("whole") / "run", save_every=3, **SMALL)


def test_the_loss_falls(tiny: Path, tmp_path: Path) -> None:
    result = train(tiny, 60, tmp_path / "run", **SMALL)
    assert result.last_loss < 0.5 * result.first_loss
    model = load_model(result.checkpoint)
    assert model.stems == STEMS and result.parameters < 1_000_000
    # The set's faders stand at -9, +3, -3 and -12 dB: the trained console must have found which is loudest and which is softest.
    gain, _ = model.controls(0.1 * torch.randn(1, 4, 2, 8000, generator=torch.Generator().manual_seed(0)), torch.ones(1, 4))
    mean = gain.mean((0, 2, 3))
    assert mean.argmax() == STEMS.index("drums") and mean[0] < 1


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tiny: Path, tmp_path: Path, whole: TrainResult) -> None:
    train(tiny, 5, tmp_path / "run", save_every=3, **SMALL)
    resumed = train(tiny, 8, tmp_path / "run", save_every=3, resume=True, **SMALL)
    first, second = load_checkpoint(whole.checkpoint), load_checkpoint(resumed.checkpoint)
    assert first["step"] == second["step"] == 8
    assert all(torch.equal(value, second["state_dict"][name]) for name, value in first["state_dict"].items())
    for one, two in zip(first["optimizer"]["state"].values(), second["optimizer"]["state"].values(), strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)
    rows, again = read_metrics(whole.metrics), read_metrics(resumed.metrics)
    assert [row["loss"] for row in rows] == [row["loss"] for row in again] and [row["step"] for row in again] == list(range(1, 9))
    assert whole.val_loss == resumed.val_loss and (whole.first_loss, whole.last_loss) == (resumed.first_loss, resumed.last_loss)


def test_workers_change_nothing(tiny: Path, tmp_path: Path, whole: TrainResult) -> None:
    result = train(tiny, 8, tmp_path / "run", workers=1, save_every=3, **SMALL)
    weights = load_checkpoint(result.checkpoint)["state_dict"]
    assert all(torch.equal(value, weights[name]) for name, value in load_checkpoint(whole.checkpoint)["state_dict"].items())


def test_another_seed_is_another_run(tiny: Path, tmp_path: Path, whole: TrainResult) -> None:
    assert train(tiny, 8, tmp_path / "run", seed=1, **SMALL).last_loss != whole.last_loss


def test_a_killed_run_resumes_from_its_last_save(tiny: Path, tmp_path: Path, whole: TrainResult) -> None:
    out = tmp_path / "run"
    # 10,000 steps would take minutes: the run is interrupted as Ctrl+C does it, once it has saved.
    call = f"train({str(tiny)!r}, 10000, {str(out)!r}, save_every=3, **{SMALL})"
    code = f"import torch; torch.set_num_threads(1); from mixdata.train import train; {call}"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1], preexec_fn=hear_ctrl_c
    )
    try:
        _wait(lambda: (out / "last.ckpt").exists() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT and errors.strip().endswith("KeyboardInterrupt")
    done = load_checkpoint(out / "last.ckpt")["step"]
    assert done % 3 == 0
    result = train(tiny, max(8, done), out, resume=True, save_every=3, **SMALL)
    assert [row["loss"] for row in read_metrics(result.metrics)[:8]] == [row["loss"] for row in read_metrics(whole.metrics)]


def test_a_run_in_the_folder_is_not_overwritten(tiny: Path, whole: TrainResult) -> None:
    before = whole.checkpoint.read_bytes()
    with pytest.raises(UsageError, match="holds a training run already"):
        train(tiny, 8, whole.checkpoint.parent, **SMALL)
    assert whole.checkpoint.read_bytes() == before


def test_the_log_grows_and_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    file.write_text("step,loss,stft,l1,val_loss\n1,9.0,,,\n2,9.0,,,\n3,9.0,,,\n")  # step 1 is in the checkpoint, the rest is not
    inodes = []
    with Progress("training", 5, quiet=True) as bar:
        journal = Journal(file, read_metrics(file)[:1], 1, 5, 2, lambda _: inodes.append(file.stat().st_ino), lambda: 0.25, bar)
        for loss in (0.1, 0.2, 0.3, 1 / 3):
            journal.on_train_batch_end(None, None, {"loss": loss})
    assert len(inodes) == 3 and len(set(inodes)) == 1, "a file that is written anew is another file"
    assert read_metrics(file) == journal.rows
    assert file.read_text() == "step,loss,stft,l1,val_loss\n1,9.0,,,\n2,0.1,,,0.25\n3,0.2,,,\n4,0.3,,,0.25\n" + f"5,{1 / 3},,,0.25\n"


def test_a_row_that_was_cut_off_does_not_count(tiny: Path, tmp_path: Path, whole: TrainResult) -> None:
    train(tiny, 6, tmp_path / "run", save_every=3, **SMALL)
    with open(tmp_path / "run" / "metrics.csv", "a") as file:
        file.write("7,0.5,0.5,0.5,\n1")  # a 10, had there been more time
    result = train(tiny, 8, tmp_path / "run", save_every=3, resume=True, **SMALL)
    losses = [[row["loss"] for row in read_metrics(metrics)] for metrics in (result.metrics, whole.metrics)]
    assert losses[0] == losses[1]


def test_the_length_of_a_crop_is_set_in_one_place() -> None:
    assert inspect.signature(train).parameters["crop"].default == CROP_SECONDS
    script = "import sys; from mixdata.train import CROP_SECONDS; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1]).returncode == 0


def test_a_finished_run_has_nothing_left_to_do(tiny: Path, whole: TrainResult) -> None:
    before = whole.checkpoint.stat().st_mtime_ns
    assert train(tiny, 6, whole.checkpoint.parent, resume=True, **SMALL) == whole
    assert whole.checkpoint.stat().st_mtime_ns == before


def test_a_run_goes_on_with_its_own_settings(tiny: Path, tmp_path: Path, whole: TrainResult) -> None:
    with pytest.raises(UsageError, match=r"batch_size \(was 2, now 4\)"):
        train(tiny, 9, whole.checkpoint.parent, resume=True, **{**SMALL, "batch_size": 4})
    content = load_checkpoint(whole.checkpoint)
    content["state_dict"].popitem()
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(MixdataError, match="weights of another model"):
        train(tiny, 9, tmp_path / "new", resume=tmp_path / "other.ckpt", **SMALL)
    with pytest.raises(MixdataError, match="no such checkpoint"):
        train(tiny, 9, tmp_path / "new", resume=True, **SMALL)


def test_a_checkpoint_runs_no_code(tiny: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / "hacked"),))

    torch.save({"format": "mixdata-train-1", "step": Evil()}, tmp_path / "evil.ckpt")
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    torch.save({"step": 1}, tmp_path / "foreign.ckpt")
    torch.save({"format": "mixdata-train-1", "step": 1}, tmp_path / "partial.ckpt")
    for name in ("evil", "text", "foreign", "partial"):
        with pytest.raises(MixdataError, match="not a checkpoint"):
            train(tiny, 9, tmp_path / "run", resume=tmp_path / f"{name}.ckpt", **SMALL)
    assert not (tmp_path / "hacked").exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"crop": 0.1}, r"crop must be longer than 0.256 s at 8000 Hz"),
        ({"lr": -1.0}, "lr must be"),
        ({"accelerator": "abacus"}, "accelerator 'abacus'"),
    ],
)
def test_settings_that_cannot_work_are_refused(tiny: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    settings = {**SMALL, "steps": 2, **arguments}
    with pytest.raises(UsageError, match=message):
        train(tiny, out=tmp_path / "run", **settings)


def test_a_loss_that_explodes_stops_the_run(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(MixdataError, match=r"the loss is (nan|inf) at step \d+: train again with a lower learning rate"):
        train(tiny, 30, tmp_path / "run", lr=1e30, **SMALL)
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_nothing_is_printed_nor_written_elsewhere(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(tiny, 2, "deep/run", **SMALL)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*")) if path.is_file()] == [
        "deep/run/last.ckpt",
        "deep/run/metrics.csv",
    ]
    assert capfd.readouterr() == ("", "")
    assert torch.equal(torch.get_rng_state(), state), "the global random state is the user's"


def test_a_mono_set_trains(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [16000]}, channels=1).path
    result = train(path, 2, tmp_path / "run", **SMALL)
    assert result.val_loss is None and result.last_loss < 100


def _network(channels: int = 2) -> tuple[MixNet, torch.Tensor]:
    module = MixModule(STEMS, channels, 8000, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    return module.model, 0.1 * torch.randn(2, 4, channels, 5000, generator=generator)


def test_a_new_network_passes_the_sum_of_its_stems() -> None:
    audio = _network()[1]
    model = MixModule(STEMS, 2, 8000).model
    assert torch.allclose(model(audio, torch.ones(2, 4, dtype=torch.bool)), audio.sum(1), atol=1e-5)


@torch.no_grad()
def test_the_order_of_named_stems_does_not_matter() -> None:
    model, audio = _network()
    mask = torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1]], dtype=torch.bool)
    order = [2, 0, 3, 1]
    mix = model(audio, mask)
    assert torch.allclose(model(audio[:, order], mask[:, order], [STEMS[place] for place in order]), mix, atol=1e-5)
    assert not torch.allclose(model(audio[:, order], mask[:, order]), mix, atol=1e-2)
    with pytest.raises(UsageError, match="knows no stem 'flute'"):
        model(audio, mask, ["flute", *STEMS[1:]])


@torch.no_grad()
def test_a_masked_stem_is_neither_heard_nor_looked_at() -> None:
    model, audio = _network()
    mask = torch.tensor([[1, 0, 1, 1]] * 2, dtype=torch.bool)
    other = audio.clone()
    other[:, 1] = 5.0
    assert torch.equal(model(audio, mask), model(other, mask))
    assert torch.allclose(model(audio, mask), model(audio[:, [0, 2, 3]], mask[:, [0, 2, 3]], ("vocals", "bass", "other")), atol=1e-5)


@torch.no_grad()
def test_the_equaliser_shifts_nothing_in_time() -> None:
    taps = torch.hann_window(64).repeat(1, 1, 1)
    pulse = torch.zeros(1, 1, 1, 500)
    pulse[..., 200] = 1
    out = equalise(pulse, taps)
    assert out.argmax() == 200 and torch.allclose(out[..., 169:232], out[..., 169:232].flip(-1), atol=1e-6)


def test_bands_share_every_bin() -> None:
    assert torch.allclose(triangles(20, 513, 44100).sum(0), torch.ones(513), atol=1e-5)


def test_weights_come_from_the_seed_alone() -> None:
    one = MixModule(STEMS, 2, 8000, seed=1)
    state = torch.get_rng_state()
    again, other = MixModule(STEMS, 2, 8000, seed=1), MixModule(STEMS, 2, 8000, seed=2)
    assert torch.equal(torch.get_rng_state(), state), "the global random state is the user's"
    pairs = [[torch.equal(*both) for both in zip(one.parameters(), module.parameters(), strict=True)] for module in (other, again)]
    assert not all(pairs[0]) and all(pairs[1])


def test_silence_behind_the_valid_frames() -> None:
    module = MixModule(STEMS, 2, 8000)
    batch = {"input": torch.ones(2, 4, 2, 4000), "mask": torch.ones(2, 4, dtype=torch.bool), "valid_frames": torch.tensor([4000, 1000])}
    with torch.no_grad():
        mix = module(batch)
    assert mix[0, :, 3999].any() and not mix[1, :, 1000:].any() and mix[1, :, 999].any()


@pytest.mark.parametrize("target", [torch.zeros(1, 2, 4000), torch.sin(torch.arange(8000.0)).reshape(1, 1, 8000).expand(1, 2, 8000)])
def test_the_loss_is_bounded_for_silent_and_mono_targets(target: torch.Tensor) -> None:
    loss = MixLoss()
    noise = 0.1 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    assert float(loss(target, target)["loss"]) == pytest.approx(0, abs=1e-6)
    assert 0.5 < float(loss(target + noise, target)["loss"]) < 50


def _wait(happened: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)

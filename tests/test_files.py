import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.files import only_writer, whole_file, whole_folder


def test_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with whole_folder(target) as partial:
        (partial / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1"
    assert list(target.parent.iterdir()) == [target]


def test_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole_folder(tmp_path / "out") as partial:
        (partial / "a").write_text("1")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_told_in_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match=r"out: .*No space left on device"),
        whole_folder(tmp_path / "out"),
    ):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


def test_what_stands_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match="exists already"), whole_folder(tmp_path / "out"):
        pass
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be written"), whole_folder(tmp_path / "file" / "out"):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a place where even root can make no file")
@pytest.mark.parametrize("patience", [0, -1])
def test_a_place_that_cannot_be_written_is_not_said_to_be_in_use(patience: float) -> None:
    target = Path("/proc/out")
    with pytest.raises(ConfigurationError, match=r"^/proc/out: cannot be written \("), only_writer(target, patience):
        pass
    with pytest.raises(ConfigurationError, match=r"^/proc/out: cannot be written \("), whole_folder(target):
        pass


def test_killed_process_leaves_no_final_name_and_the_next_run_clears_up(tmp_path: Path) -> None:
    target = tmp_path / "out"
    code = (
        "import os, signal, sys; from pathlib import Path; from mlrsnet_hf.files import whole_file, whole_folder\n"
        "with whole_folder(Path(sys.argv[1])) as partial:\n"
        "    (partial / 'stale').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(target)]).returncode == -signal.SIGKILL
    assert not target.exists()
    with whole_folder(target) as partial:
        (partial / "fresh").write_text("x")
    assert [path.name for path in target.iterdir()] == ["fresh"]
    assert list(tmp_path.iterdir()) == [target]


def test_second_writer_is_refused_and_the_first_keeps_its_files(tmp_path: Path) -> None:
    target = tmp_path / "out"
    code = "import sys; from pathlib import Path; from mlrsnet_hf.files import whole_file, whole_folder\n" + (
        "with whole_folder(Path(sys.argv[1])) as partial: pass"
    )
    with whole_folder(target) as partial:
        (partial / "a").write_text("1")
        second = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True)
        assert "out: another process" in second.stderr
        (partial / "b").write_text("2")
    assert sorted(path.name for path in target.iterdir()) == ["a", "b"]
    assert list(tmp_path.iterdir()) == [target]


def test_one_process_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    """Each removes the lock's file when it is done, while others wait for that very file."""
    code = (
        "import sys; from pathlib import Path; from mlrsnet_hf.files import only_writer\n"
        "inside, target = Path(sys.argv[1]) / 'inside', Path(sys.argv[1]) / 'out'\n"
        "for _ in range(60):\n"
        "    with only_writer(target, patience=100): inside.touch(exist_ok=False); inside.unlink()"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_by_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="exists already"), whole_folder(Path()):
        pass


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with whole_file(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_the_earlier_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(KeyError), whole_file(target) as partial:
        partial.write_text("half")
        raise KeyError
    with pytest.raises(ConfigurationError, match=r"a\.json: .*No space"), whole_file(target):
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_was_not_written_is_an_error(tmp_path: Path) -> None:
    missing = pytest.raises(ConfigurationError, match=r"a\.json: .*No such file")
    with missing, whole_file(tmp_path / "a.json"):
        pass

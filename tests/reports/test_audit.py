import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlrsnet_hf.cli import main
from mlrsnet_hf.release.audit.audit import audit_source
from mlrsnet_hf.release.audit.findings import CHECKS
from mlrsnet_hf.reports.audit import audit_as_json, audit_as_text

MakeRelease = Callable[..., Path]


@pytest.fixture
def release(make_release: MakeRelease) -> Path:
    """Two beaches, one of them missing, and two stadiums that have lost their label; images of 16x16."""
    root = make_release({"beach": 2, "stadium": 2}, labels=["water"])
    (root / "Images/beach/beach_00002.jpg").unlink()
    return root


@pytest.mark.usefixtures("known_as_mlrsnet")
def test_the_whole_table(release: Path) -> None:
    for name in ("Images", "Labels/beach.csv"):
        (release / name).rename(release.with_name(name.replace("/", "-")))
    expected = f"""\
source:         {release}
holds:          1 of 46 scenes, 2 rows, label files alone
label version:  neither that of 2020 nor that of 2021

scene    rows  published  labels  published  label version
stadium   * 2      2,462     * 2     20,701  neither
* differs from the published count

 2  rows without the label that all images of their scene carry  (repairable)
          stadium/stadium_00001.jpg: stadium
          stadium/stadium_00002.jpg: stadium
45  scenes that are not there                                    (informative)
          airplane
          airport
          bareland
          ...
 1  scenes with another number of images than published          (informative)
          stadium: 2 instead of 2,462
 1  scenes whose rows are of no published label version          (informative)
          stadium

not looked for, as there are label files alone: rows without their image, images without a row,
images that cannot be read, images that are not 256x256, images that are not RGB, groups of
byte-identical images

result: label files alone, without the images that load_dataset needs; wrong labels are repaired by default
2 rows are repaired by default, label_version="verified"; mlrsnet audit --diff lists them"""
    assert audit_as_text(audit_source(release)) == expected


@pytest.mark.usefixtures("known_as_mlrsnet")
def test_json_holds_everything(release: Path) -> None:
    report = json.loads(audit_as_json(audit_source(release)))
    assert (report["result"], report["exit_code"], report["label_version"]) == ("unusable", 2, "neither")
    assert (report["rows"], report["images"], report["repaired_rows"]) == (4, 3, 2)
    assert list(report["checks"]) == [check.name for check in CHECKS]
    missing = report["checks"]["missing_image"]
    assert (missing["severity"], missing["count"]) == ("unusable", 1)
    assert missing["findings"] == [{"where": "beach/beach_00002.jpg", "detail": ""}]
    assert report["checks"]["image_size"]["count"] == 3
    beach, stadium = report["scenes"]["beach"], report["scenes"]["stadium"]
    assert (beach["rows"], beach["images"], beach["published_images"], beach["label_versions"]) == (2, 1, 2500, [])
    assert beach["labels"]["water"] == {"found": 2, "published": 2500, "after_repair": 2}
    assert stadium["labels"]["stadium"] == {"found": 0, "published": 2462, "after_repair": 2}


def test_other_data_is_told_from_mlrsnet(release: Path) -> None:
    audit = audit_source(release / "Labels")
    assert (
        "label version:  not recognized as MLRSNet (0 of 4 rows are published ones); labels are taken as they are"
        in (audit_as_text(audit).splitlines())
    )
    report = json.loads(audit_as_json(audit))
    assert (report["is_mlrsnet"], report["published_rows"], report["repaired_rows"]) == (False, 0, 0)
    assert report["checks"]["lost_label"]["count"] == 0


def test_json_of_label_files_alone_says_what_was_not_looked_for(release: Path) -> None:
    report = json.loads(audit_as_json(audit_source(release / "Labels")))
    assert (report["images"], report["images_checked"], report["exit_code"]) == (None, False, 1)
    assert {name for name, check in report["checks"].items() if check["count"] is None} == {
        check.name for check in CHECKS if check.needs_images
    }


@pytest.mark.usefixtures("known_as_mlrsnet")
def test_command(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str | Path) -> tuple[object, str]:
        with pytest.raises(SystemExit) as exit_of:
            main(["audit", *map(str, arguments), "--processes", "1"])
        return exit_of.value.code, capsys.readouterr().out

    code, table = run(release)
    assert (code, table.splitlines()[-2].split()[:2]) == (2, ["result:", "unusable"])
    code, text = run(release, "--json")
    assert (code, json.loads(text)["exit_code"]) == (2, 2)
    code, lines = run(release, "--diff")
    assert (code, lines) == (1, "stadium/stadium_00001.jpg: +stadium\nstadium/stadium_00002.jpg: +stadium\n")
    (release / "Labels/stadium.csv").unlink()
    assert run(release, "--diff") == (0, "")


def test_refusals_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beach.csv").write_text("image,water\n")
    for arguments in (["audit", "nowhere"], ["audit", "--diff", str(tmp_path)]):
        with pytest.raises(SystemExit) as exit_of:
            main(arguments)
        printed = capsys.readouterr()
        assert (exit_of.value.code, printed.out) == (2, "")
        assert printed.err.startswith("error: ")
        assert printed.err.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="pipes differ")
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, make_release: MakeRelease) -> None:
    labels = make_release({"stadium": 2000}, labels=["water"]) / "Labels"
    code = "from mlrsnet_hf.release import recognition as r; r.LEAST_SHARE = 0; from mlrsnet_hf.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "audit", "--diff", labels],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stadium/stadium_00001.jpg: +stadium\n"
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() != -signal.SIGPIPE

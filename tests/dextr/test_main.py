"""The `dextr` command as a person calls it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.file_server import Served, serve

from dextr.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("args", "code"), [([], 2), (["--help"], 0), (["-h"], 0)])
def test_help_lists_the_commands(capsys, args, code):
    assert main(args) == code
    out = capsys.readouterr().out
    for name, (_, text) in COMMANDS.items():
        assert f"  {name:<10} {text}" in out


def test_unknown_command_is_one_line(capsys):
    assert main(["nothing"]) == 2
    assert capsys.readouterr().err == (
        f"error: no command 'nothing': expected one of {', '.join(COMMANDS)}\n"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(capsys, name):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: dextr {name}")


def test_weights_table(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "dextr_coco.pth").write_bytes(bytes(3_000_000))
    assert main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split()[0]: line for line in lines[1:7]}
    assert list(cells) == ["bundled", "untrained", "pascal-sbd", "pascal", "coco", "deeplab"]
    assert cells["coco"].split()[1:5] == ["yes", "3", "MB", "MIT"]
    assert cells["pascal"].split()[1:6] == ["no", "about", "190", "MB", "MIT"]
    starts = {line.index(word) for line, word in ((lines[0], "for"), (cells["coco"], "the paper"))}
    assert len(starts) == 1
    assert any("coco: 87.8 (a user measured 90.9 at threshold 0.8)" in line for line in lines)


def test_failed_download_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path))
    with serve({}) as url:
        assert main(["download", "coco", "--root", str(tmp_path), "--mirror", url]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {url}/dextr_coco.pth: 404 Not Found. ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "files"),
    [
        (
            "download_dextr_models.sh",
            ["dextr_coco.pth", "dextr_pascal-sbd.pth", "dextr_pascal.pth"],
        ),
        ("download_pretrained_psp_models.sh", ["MS_DeepLab_resnet_trained_VOC.pth"]),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_scripts_work_from_any_folder(tmp_path, script, files):
    source = tmp_path / "source.pth"
    torch.save({"a": torch.zeros(3)}, source)
    served = {name: Served(source.read_bytes()) for name in files}
    with serve(served) as url:
        result = subprocess.run(
            [ROOT / "models" / script],
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "DEXTR_MIRROR": url,
                "DEXTR_CACHE": str(tmp_path / "cache"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    assert sorted(p.name for p in (tmp_path / "cache" / "weights").iterdir()) == files


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system what a program was told")
@pytest.mark.parametrize(("said", "expected"), [({}, "PASSIVE"), ({"OMP_NUM_THREADS": "2"}, None)])
def test_threads_sleep_while_they_wait(tmp_path, said, expected):
    """Unless the user said something of threads, the program starts anew and says it itself."""
    script = tmp_path / "report.py"
    script.write_text(
        "import os, sys\nfrom dextr.common.cli import restart_with_sleeping_threads\n"
        "restart_with_sleeping_threads()\nprint(os.environ.get('OMP_WAIT_POLICY'), sys.argv[1:])"
    )
    threads = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "GOMP_SPINCOUNT")
    environment = {k: v for k, v in os.environ.items() if k not in threads}
    finished = subprocess.run(
        [sys.executable, script, "a b", "--c"],
        env={**environment, "PYTHONPATH": str(ROOT), **said},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout == f"{expected} ['a b', '--c']\n"

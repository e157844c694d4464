"""demo.py as its user runs it: in a process of its own."""

import asyncio
import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tornado import httpclient, websocket

from dextr.window.layout import Photos

DEMO = Path(__file__).parents[1] / "demo.py"


def environment(**changes):
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND", "DEXTR_DEBUG")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "OMP_NUM_THREADS": "1", **changes}


def demo(*args, python=(), **changes):
    command = [sys.executable, *python, DEMO, *map(str, args)]
    return subprocess.run(
        command, env=environment(**changes), capture_output=True, text=True, timeout=120
    )


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_example_without_display_or_gui_library(tmp_path):
    output = tmp_path / "new" / "coffee.png"
    done = demo(
        "--output", output, "--weights", "untrained", "--threshold", "0", python=["-Ximporttime"]
    )
    assert done.returncode == 0, done.stderr
    for module in ("matplotlib.backends.backend_", "tkinter"):
        assert module not in done.stderr
    assert "weights are UNTRAINED" in done.stdout
    assert f"wrote {output} and {tmp_path}/new/coffee_overlay.png" in done.stdout
    labels = read(output)
    assert labels.shape == (400, 600)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert read(tmp_path / "new" / "coffee_overlay.png").shape == (400, 600, 3)
    # At threshold 0 a mask fills the box of its points.
    y, x = np.nonzero(read(tmp_path / "new" / "coffee_object_002.png"))
    assert (x.min(), x.max(), y.min(), y.max()) == (326, 424, 67, 326)


def test_an_opencv_without_its_graphics_libraries_is_one_line(tmp_path):
    (tmp_path / "cv2.py").write_text('raise ImportError("libGL.so.1: cannot open")')
    done = demo("--output", tmp_path / "x.png", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: OpenCV cannot be loaded (libGL.so.1: cannot open)")
    assert "pip install opencv-python-headless" in done.stderr


def test_without_display_and_points_one_line_says_what_to_do(photo):
    done = demo("--image", photo, "--weights", "untrained", MPLBACKEND="agg")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: cannot open a window: give --web 8988 to use a browser")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("cp1252", "\\u732b"), ("latin-1", "\\u732b"), ("utf-8", "猫")]
)
def test_a_console_that_cannot_show_a_name_shows_it_with_escapes(tmp_path, encoding, shown):
    output = tmp_path / "猫.png"
    done = demo("--output", output, "--weights", "untrained", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{shown}.png" in done.stdout
    assert output.exists()


@pytest.mark.parametrize("backend", ["module://ipympl.backend_nbagg", "nonsense"])
def test_an_inherited_backend_does_not_matter_without_a_window(tmp_path, backend):
    output = tmp_path / "coffee.png"
    done = demo("--output", output, "--weights", "untrained", MPLBACKEND=backend)
    assert (done.returncode, done.stderr) == (0, "")
    assert output.exists()


@pytest.mark.parametrize("backend", ["module://ipympl.backend_nbagg", "nonsense"])
def test_an_inherited_backend_that_makes_no_window_is_one_line(photo, backend):
    done = demo("--image", photo, "--weights", "untrained", MPLBACKEND=backend)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: cannot open a window")


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(DEMO))


def test_objects_of_an_own_photo(script, photo, tmp_path, capsys):
    output = tmp_path / "mask.png"
    args = ["--image", photo, "--output", output, "--weights", "untrained", "--device", "cpu"]
    args += ["--points", "10,50 60,50 30,20 30,80", "--points", "100.5,50 140,50 120,20 120,80"]
    assert script["main"]([*map(str, args), "--threshold", "0"]) == 0
    labels = read(output)
    assert labels.shape == (100, 150)
    assert np.unique(labels[:, :70]).tolist() == [0, 1]
    assert (tmp_path / "mask_object_002.png").exists()
    assert "object 2: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--points", "1,2"], "--points needs --output"),
        (["--points", "1,2", "--output", "m.png", "--web", "8988"], "no --web"),
        (["--points", "1,2", "--output", "m.png", "--labels", "cat"], "no --labels"),
        (["--output", "m.jpg"], "a folder or a file name that ends in .png"),
        (["--labels", ","], "no labels in it"),
        (["--points", " ", "--output", "m.png"], "at least 4 points|x, y pairs"),
        (
            ["--points", "a,b c,d", "--output", "m.png"],
            'expected "x,y x,y x,y x,y": points must be numbers',
        ),
        (["--points", "1,2 3,4,5 6,7 8,9", "--output", "m.png"], "points must be numbers"),
        (["--points", "1,2 3,4 5,6 nan,9", "--output", "m.png"], "finite"),
        (["--points", "1,2 3,4 5,6 7,101", "--output", "m.png"], "outside the image of 150 x 100"),
        (["--points", "5,5 5,5 5,5 5,5", "--output", "m.png"], "all 4 points are"),
        (["--points", "1,2 3,4 5,6 7,8", "--output", "m.jpg"], "ends in .png"),
        (
            ["--points", "1,2 3,4 5,6 7,8", "--output", "m.png", "--weights", "no"],
            "no weights 'no'",
        ),
    ],
)
def test_mistakes_are_explained(script, photo, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        script["main"](["--image", str(photo), *args])
    assert list(tmp_path.iterdir()) == [photo]


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_a_bad_image_is_named(script, tmp_path, content):
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"photo\.jpg"):
        script["main"](["--image", str(path), "--output", "m.png", "--points", "1,2 3,4 5,6 7,8"])


def test_points_are_for_one_photo(script, photo, tmp_path):
    other = tmp_path / "other.jpg"
    other.write_bytes(photo.read_bytes())
    args = ["--points", "1,2", "--output", str(tmp_path / "m.png")]
    with pytest.raises(ValueError, match="--points is for one photo"):
        script["main"](["--image", str(photo), str(other), *args])
    with pytest.raises(ValueError, match=r"missing\.jpg: no such image file or folder"):
        script["main"](["--image", str(photo), str(tmp_path / "missing.jpg")])


@pytest.mark.parametrize(
    ("names", "output"),
    [(["a.jpg"], "demo_output/a.png"), (["a.jpg", "b.jpg"], "demo_output/photos")],
)
def test_where_things_go_if_nothing_is_said(script, names, output):
    photos = Photos(dict.fromkeys(names, ""), "/some/photos")
    assert script["default_output"](photos) == Path(output)


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


async def click_in_browser(address, places):
    """Click where a browser would, at the figure's pixels, and wait until all has been handled."""
    client = httpclient.AsyncHTTPClient()
    entered = await client.fetch(address, follow_redirects=False, raise_error=False)
    page_of = address.partition("?")[0]
    cookie = {"Cookie": entered.headers["Set-Cookie"].partition(";")[0]}
    page = await client.fetch(page_of, headers=cookie)
    socket_of = page_of.replace("http:", "ws:") + "1/ws"
    request = httpclient.HTTPRequest(socket_of, headers=cookie)
    connection = await websocket.websocket_connect(request)
    for x, y in places:
        for kind in ("button_press", "button_release"):
            event = {"type": kind, "x": x, "y": y, "button": 0, "buttons": 0, "modifiers": []}
            await connection.write_message(json.dumps({**event, "figure_id": 1}))
    await connection.write_message(json.dumps({"type": "send_image_mode", "figure_id": 1}))
    while '"image_mode"' not in str(await connection.read_message()):
        pass
    connection.close()
    return page


def test_in_a_browser(tmp_path):
    image, output, port = tmp_path / "white.png", tmp_path / "cup.png", free_port()
    Image.new("RGB", (600, 400), "white").save(image)
    command = [sys.executable, "-u", DEMO, "--image", image, "--output", output]
    command += ["--web", str(port), "--weights", "untrained", "--threshold", "0"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        said = ""
        while "Ctrl+C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        (address,) = re.findall(rf"http://127\.0\.0\.1:{port}/\?token=\S+", said)
        # As in the window below: the image's pixel (x, y) is at 500 + 1.6 (x - 299.5), ...
        places = [(181, 373), (821, 389), (501, 133), (517, 613)]
        page = asyncio.run(click_in_browser(address, places))
        assert page.code == 200
        assert b"<canvas" in page.body or b"mpl.figure" in page.body
        kept = json.loads((tmp_path / "cup_session.json").read_text())
        assert len(kept["images"][0]["draft"]["points"]) == 4
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "1 object on 1 image" in said
    y, x = np.nonzero(read(output))
    assert np.abs(np.array([x.min(), x.max(), y.min(), y.max()]) - [100, 500, 50, 350]).max() <= 2
    assert len(json.loads((tmp_path / "cup_instances.json").read_text())["annotations"]) == 1


class Screen:
    """A virtual X display and the window on it."""

    def __init__(self, number):
        self.display = f":{number}"

    def xdotool(self, *args):
        command = ["xdotool", *map(str, args)]
        env = environment(DISPLAY=self.display)
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=True
        ).stdout


@pytest.fixture
def screen():
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("needs Xvfb and xdotool")
    if importlib.util.find_spec("_tkinter") is None:
        pytest.skip("needs a Python with Tk")
    reader, writer = os.pipe()
    # At 96 dpi matplotlib has no reason to enlarge the window after it has appeared.
    command = f"Xvfb -screen 0 1280x1024x24 -dpi 96 -displayfd {writer}".split()
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        number = pipe.readline().strip()
    yield Screen(number)
    server.terminate()
    server.wait()


def test_real_clicks_in_a_real_window(screen, tmp_path):
    output = tmp_path / "cup.png"
    args = ["--weights", "untrained", "--threshold", "0"]
    image = tmp_path / "white.png"
    Image.new("RGB", (600, 400), "white").save(image)
    process = subprocess.Popen(
        [sys.executable, DEMO, "--image", image, "--output", output, *args],
        env=environment(DISPLAY=screen.display, MPLBACKEND="TkAgg"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        found = screen.xdotool("search", "--sync", "--onlyvisible", "--name", "DEXTR")
        window = found.split()[-1]
        # The figure is 1000 x 800 pixels, the image 960 wide and its middle at (500, 372).
        for x, y in [(100, 200), (500, 210), (300, 50), (310, 350)]:
            column, row = round(500 + 1.6 * (x - 299.5)), round(372 + 1.6 * (y - 199.5))
            screen.xdotool("mousemove", "--window", window, column, row, "click", 1)
        screen.xdotool("keydown", "--window", window, "q")
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert f"1 object on 1 image in {output}" in said
    y, x = np.nonzero(read(output))
    assert np.abs(np.array([x.min(), x.max(), y.min(), y.max()]) - [100, 500, 50, 350]).max() <= 2


FOUR = ["--points", "10,50 60,50 30,20 30,80"]
BASE = ["--weights", "untrained", "--device", "cpu", "--threshold", "0", *FOUR]


def link(path, photo):
    path.symlink_to(photo)


def hard_link(path, photo):
    path.hardlink_to(photo)


def copy(path, photo):
    shutil.copy(photo, path)


@pytest.mark.parametrize("lay", [link, hard_link, copy])
@pytest.mark.parametrize("name", ["mask.png", "mask_overlay.png", "mask_object_001.png"])
def test_what_others_made_is_never_written_over(script, photo, tmp_path, lay, name):
    lay(tmp_path / name, photo)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=f"{name} is (the photo itself|there already and was not)"):
        script["main"](["--image", str(photo), "--output", str(tmp_path / "mask.png"), *BASE])
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["photo.png", "photo_overlay.png", "photo_object_001.png"])
def test_the_photo_may_be_the_output_by_no_name(script, tmp_path, name):
    photo = tmp_path / name
    Image.new("RGB", (150, 100), "gray").save(photo)
    before = photo.read_bytes()
    with pytest.raises(ValueError, match=f"{name} is the photo itself"):
        script["main"](["--image", str(photo), "--output", str(tmp_path / "photo.png"), *BASE])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_own_files_are_made_anew_and_foreign_ones_beside_them_stay(script, photo, tmp_path):
    call = ["--image", str(photo), "--output", str(tmp_path / "mask.png"), *BASE]
    assert script["main"]([*call, *FOUR]) == 0
    shutil.copy(photo, tmp_path / "mask_object_005.png")
    assert (tmp_path / "mask_object_002.png").exists()
    assert script["main"](call) == 0
    assert not (tmp_path / "mask_object_002.png").exists()
    assert (tmp_path / "mask_object_005.png").read_bytes() == photo.read_bytes()

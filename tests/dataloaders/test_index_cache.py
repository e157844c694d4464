import os
import warnings

import numpy as np
import pytest
from support.objects import rows_of
from support.trees import make_coco, make_folder, make_sbd, make_voc, write_palette

from dataloaders.coco import CocoInstances
from dataloaders.folder import FolderInstances
from dataloaders.index_cache import cached_arrays
from dataloaders.pascal import PascalInstances
from dataloaders.sbd import SbdInstances


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_text("mask")
    return paths


class Builder:
    """Builds arrays and counts how often."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return {"rows": np.arange(6).reshape(2, 3), "names": np.array(["ä", "b"])}


def assert_built(build, times, files, identity="set"):
    arrays = cached_arrays(identity, files, build)
    assert build.calls == times
    assert arrays["rows"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["names"].tolist() == ["ä", "b"]
    assert set(arrays) == {"rows", "names"}


def test_what_has_not_changed_is_built_once(files):
    build = Builder()
    assert_built(build, 1, files)
    assert_built(build, 1, files)


def test_other_data_sets_do_not_meet(files):
    build = Builder()
    assert_built(build, 1, files, "one")
    assert_built(build, 2, files, "other")
    assert_built(build, 2, files, "one")


def touched(files):
    os.utime(files[1], ns=(10**18, 10**18))
    return files


def grown(files):
    files[1].write_text("more mask")
    return files


def renamed(files):
    return [files[0], files[1].rename(files[1].with_name("c.png"))]


def added(files):
    files[0].with_name("c.png").write_text("mask")
    return [*files, files[0].with_name("c.png")]


def removed(files):
    return files[:1]


@pytest.mark.parametrize("change", [touched, grown, renamed, added, removed])
def test_a_changed_data_set_is_noticed(files, own_cache, change):
    build = Builder()
    assert_built(build, 1, files)
    assert_built(build, 2, change(files))
    assert len(list(own_cache.rglob("*.npz"))) == 1


def cut_off(path):
    path.write_bytes(path.read_bytes()[:100])


def emptied(path):
    path.write_bytes(b"")


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def without_state(path):
    np.savez(path, rows=np.zeros(1))


def pickled(path):
    np.savez(path, fingerprint=np.array([{}], object), rows=np.zeros(1))


@pytest.mark.parametrize("damage", [cut_off, emptied, flipped, without_state, pickled])
def test_a_damaged_cache_is_replaced(files, own_cache, damage):
    build = Builder()
    assert_built(build, 1, files)
    (path,) = own_cache.rglob("*.npz")
    damage(path)
    assert_built(build, 2, files)
    assert_built(build, 2, files)


def test_a_cache_that_cannot_be_written_warns(files, tmp_path, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "a.png"))
    build = Builder()
    with pytest.warns(UserWarning, match="set DEXTR_CACHE"):
        assert_built(build, 1, files)


def test_a_missing_file_is_named(files):
    files[1].unlink()
    with pytest.raises(ValueError, match=r"b.png: annotation not readable"):
        cached_arrays("set", files, Builder())


def tree_state(root):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(root.rglob("*"))}


@pytest.mark.parametrize(
    ("make", "opened"),
    [
        (make_voc, PascalInstances),
        (make_sbd, SbdInstances),
        (make_folder, FolderInstances),
        (
            make_coco,
            lambda root: CocoInstances(
                root / "annotations" / "instances_val2017.json", root / "val2017"
            ),
        ),
    ],
)
def test_a_cached_data_set_is_the_same_and_nothing_is_written_to_it(tmp_path, make, opened):
    root = tmp_path / "data"
    make(root)
    before = tree_state(root)
    built, cached = opened(root), opened(root)
    assert rows_of(built) == rows_of(cached)
    for ours, theirs in zip(built, cached, strict=True):
        assert np.array_equal(ours.mask, theirs.mask)
        assert np.array_equal(ours.void, theirs.void)
    assert tree_state(root) == before


def test_a_changed_mask_is_seen(tmp_path):
    scenes = make_voc(tmp_path)
    name, scene = list(scenes.items())[-1]
    first = PascalInstances(tmp_path)
    labels = scene.labels.copy()
    labels[0, 0] = 9
    write_palette(tmp_path / f"VOCdevkit/VOC2012/SegmentationObject/{name}.png", labels)
    assert len(PascalInstances(tmp_path)) == len(first) + 1


def test_opening_is_quiet_where_nobody_watches(tmp_path, capfd):
    make_voc(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PascalInstances(tmp_path)
    assert capfd.readouterr() == ("", "")

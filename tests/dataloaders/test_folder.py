import re
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image
from support.objects import rows_of, slow_rows
from support.trees import make_folder, write_grey, write_palette

from dataloaders.files import read_headers
from dataloaders.folder import FolderInstances


@pytest.fixture
def folder(tmp_path):
    """A folder to put images and masks into; a missing image is made up."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    return tmp_path


def put(folder, name, labels, write=write_grey, suffix=".png"):
    labels = np.asarray(labels)
    Image.new("RGB", labels.shape[::-1], "gray").save(folder / "images" / f"{name}{suffix}")
    write(folder / "masks" / f"{name}.png", labels)


def test_index_is_what_counting_pixels_one_by_one_gives(tmp_path):
    scenes = make_folder(tmp_path)
    instances = FolderInstances(tmp_path)
    assert rows_of(instances) == slow_rows([s.labels for s in scenes.values()])
    for instance in instances:
        scene = scenes[instance.image_id]
        assert np.array_equal(instance.mask, scene.labels == instance.object_id)
        assert np.array_equal(instance.void, scene.labels == 255)
        assert np.array_equal(instance.image, scene.image)
        assert instance.category == -1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".TIF", ".bmp"])
def test_binary_masks_hold_object_1(tmp_path, suffix):
    scenes = make_folder(tmp_path, binary=True, suffix=suffix)
    instances = FolderInstances(tmp_path)
    assert [i.object_id for i in instances] == [1] * len(scenes)
    for instance in instances:
        assert np.array_equal(instance.mask, scenes[instance.image_id].shapes[0])
        assert not instance.void.any()


ZERO_ONE = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)


@pytest.mark.parametrize(
    ("labels", "objects", "void"),
    [
        (np.zeros((2, 3), np.uint8), {}, 0),
        (ZERO_ONE, {1: 3}, 0),
        (ZERO_ONE.astype(bool), {1: 3}, 0),
        (ZERO_ONE * np.uint8(255), {1: 3}, 0),
        (ZERO_ONE * np.uint16(65535), {1: 3}, 0),
        (np.full((2, 3), 255, np.uint8), {1: 6}, 0),
        (np.array([[0, 1, 254], [254, 255, 255]], np.uint8), {1: 1, 254: 2}, 2),
        (np.array([[0, 1, 2], [2, 255, 255]], np.uint16), {1: 1, 2: 2}, 2),
        (np.array([[0, 255, 256], [0, 900, 900]], np.uint16), {255: 1, 256: 1, 900: 2}, 0),
        (np.array([[0, 255, 65535], [300, 300, 65535]], np.uint16), {255: 1, 300: 2}, 2),
        (np.arange(400, dtype=np.uint16).reshape(20, 20), dict.fromkeys(range(1, 400), 1), 0),
    ],
)  # fmt: skip
def test_what_a_mask_means(folder, labels, objects, void):
    put(folder, "a", labels)
    instances = FolderInstances(folder)
    assert (
        dict(zip(instances.index.object_id.tolist(), instances.index.area.tolist(), strict=True))
        == objects
    )
    for row, instance in enumerate(instances):
        assert instance.mask.sum() == instances.index.area[row]
        assert instance.void.sum() == void
        assert not (instance.mask & instance.void).any()


def test_palette_indices_count_not_colours(folder):
    put(folder, "a", [[0, 1, 1], [7, 7, 7]], lambda p, x: write_palette(p, x.astype(np.uint8)))
    instances = FolderInstances(folder)
    assert rows_of(instances) == [(0, 1, -1, 2), (0, 7, -1, 3)]
    assert np.array_equal(instances[1].mask, [[0, 0, 0], [1, 1, 1]])


def test_binary_and_numbered_masks_side_by_side(folder):
    put(folder, "a", np.array([[0, 255]], np.uint8))
    put(folder, "b", np.array([[1, 2]], np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        instances = FolderInstances(folder)
    assert rows_of(instances) == [(0, 1, -1, 1), (1, 1, -1, 1), (1, 2, -1, 1)]
    assert np.array_equal(instances[0].mask, [[False, True]])


def test_255_alone_is_void_where_other_masks_have_it_beside_objects(folder, own_cache):
    put(folder, "a", np.array([[0, 255]], np.uint8))
    put(folder, "b", np.array([[1, 255]], np.uint8))
    for _ in ("built", "from the cache"):
        with pytest.warns(UserWarning, match="a.png holds only 0 and 255"):
            instances = FolderInstances(folder)
        assert rows_of(instances) == [(1, 1, -1, 1)]
        assert np.array_equal(instances[0].void, [[False, True]])


def test_grey_masks_saved_as_colour_images_are_read(folder):
    put(
        folder,
        "a",
        ZERO_ONE * np.uint8(255),
        lambda p, x: Image.fromarray(x).convert("RGB").save(p),
    )
    assert rows_of(FolderInstances(folder)) == [(0, 1, -1, 3)]


def test_colour_masks_are_refused(folder):
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[0, 0] = (255, 0, 0)
    put(folder, "a", ZERO_ONE, lambda p, _: Image.fromarray(colours).save(p))
    with pytest.raises(ValueError, match=r"a.png: expected a mask of one channel"):
        FolderInstances(folder)


HARD = cv2.circle(np.zeros((80, 100), np.uint8), (45, 40), 25, 255, -1)
SOFTENED = {
    "halved": lambda m: cv2.resize(m, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "blurred": lambda m: cv2.GaussianBlur(m, (3, 3), 0),
    "blurred more": lambda m: cv2.GaussianBlur(m, (15, 15), 3),
    "enlarged": lambda m: cv2.resize(m, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR),
    "enlarged more": lambda m: cv2.resize(m, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC),
    "levels": lambda m: cv2.blur(m, (2, 2)),
    "16 bits": lambda m: cv2.blur(m, (3, 3)).astype(np.uint16) * 257,
    "turned": lambda m: cv2.warpAffine(m, cv2.getRotationMatrix2D((50, 40), 10, 1), (100, 80)),
    "numbered 3": lambda m: cv2.resize(m // 85, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR),
}


@pytest.mark.parametrize("kind", SOFTENED)
def test_a_soft_mask_is_cut_at_the_middle_and_does_not_decide_for_others(folder, kind, own_cache):
    put(folder, "a", SOFTENED[kind](HARD))
    for name in "bcde":
        put(folder, name, HARD)
    for _ in ("built", "from the cache"):
        with pytest.warns(UserWarning, match=r"a\.png has soft edges .* at the middle \(1 such"):
            instances = FolderInstances(folder)
        assert [(i.image_id, i.object_id) for i in instances] == [(name, 1) for name in "abcde"]
        for instance in list(instances)[1:]:
            assert np.array_equal(instance.mask, HARD > 0)
        soft = instances[0].mask
        assert soft.sum() == instances.index.area[0]
        assert not instances[0].void.any()
        hard = cv2.resize(HARD, soft.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        if kind != "turned":
            assert (soft & hard).sum() / (soft | hard).sum() > 0.93


def test_maps_of_numbers_are_not_soft(tmp_path):
    for seed in range(20):
        scenes = make_folder(tmp_path / str(seed), seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            instances = FolderInstances(tmp_path / str(seed))
        assert rows_of(instances) == slow_rows([s.labels for s in scenes.values()])


def test_other_grey_masks_are_left_out_by_name(folder):
    noise = np.random.default_rng(0).integers(1, 255, (40, 40)).astype(np.uint8)
    noise[:, 8:] = 255
    noise[:4] = 0
    put(folder, "a", noise)
    put(folder, "b", np.array([[0, 255]], np.uint8))
    with pytest.warns(UserWarning, match=r"a.png looks like a soft grey mask .* left out \(1 such"):
        assert rows_of(FolderInstances(folder)) == [(1, 1, -1, 1)]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("hidden", ["white", "black"])
def test_a_mask_in_the_alpha_channel(folder, mode, hidden):
    def cut_out(path, labels):
        shown = np.where(labels > 0, 255, 255 if hidden == "white" else 0).astype(np.uint8)
        channels = [shown] * (3 if mode == "RGBA" else 1)
        Image.fromarray(np.dstack([*channels, labels]), mode).save(path)

    put(folder, "a", HARD, cut_out)
    put(folder, "b", HARD)
    instances = FolderInstances(folder)
    assert [int(i.mask.sum()) for i in instances] == [np.count_nonzero(HARD)] * 2


def test_labels_beside_a_constant_alpha_are_read(folder):
    def opaque(path, labels):
        Image.fromarray(np.dstack([labels, np.full_like(labels, 255)]), "LA").save(path)

    put(folder, "a", ZERO_ONE * np.uint8(7), opaque)
    assert rows_of(FolderInstances(folder)) == [(0, 7, -1, 3)]


def test_labels_where_it_is_transparent_are_refused(folder):
    labels = np.array([[0, 3, 4]], np.uint8)
    alpha = np.array([[255, 255, 0]], np.uint8)
    put(folder, "a", labels, lambda p, x: Image.fromarray(np.dstack([x, alpha]), "LA").save(p))
    with pytest.raises(ValueError, match=r"a\.png: labels where the picture is transparent"):
        FolderInstances(folder)


def with_palette(colours):
    def write(path, indices):
        picture = Image.fromarray(indices.astype(np.uint8), "P")
        picture.putpalette([value for grey in colours for value in (grey,) * 3])
        picture.save(path)

    return write


@pytest.mark.parametrize("suffix", ["png", "gif", "tif"])
@pytest.mark.parametrize(
    ("colours", "indices", "expected"),
    [
        ((0, 255), [[0, 1, 1]], [[0, 1, 1]]),
        ((255, 0), [[1, 0, 0]], [[0, 1, 1]]),
        ((255, 0, 0), [[2, 0, 0]], [[0, 1, 1]]),
        ((255, 0), [[0, 0, 0]], [[1, 1, 1]]),
    ],
)
def test_black_and_white_palettes_go_by_their_colours(folder, suffix, colours, indices, expected):
    Image.new("RGB", (3, 1)).save(folder / "images" / "a.png")
    with_palette(colours)(folder / "masks" / f"a.{suffix}", np.array(indices))
    assert np.array_equal(FolderInstances(folder)[0].mask, np.array(expected) > 0)


@pytest.mark.parametrize(
    "labels", [np.array([[0.0, 1.0]], np.float32), np.array([[-1, 1]], np.int32)]
)
def test_labels_that_are_not_numbers_of_objects(folder, labels):
    Image.new("RGB", (2, 1)).save(folder / "images" / "a.png")
    Image.fromarray(labels).save(folder / "masks" / "a.tif")
    with pytest.raises(ValueError, match=r"a.tif: expected whole labels from 0 to 65535"):
        FolderInstances(folder)


def test_images_without_a_mask_are_left_out_aloud(folder):
    put(folder, "a", ZERO_ONE)
    Image.new("RGB", (3, 2)).save(folder / "images" / "b.png")
    with pytest.warns(UserWarning, match="1 of 2 images have no mask.*b.png"):
        assert len(FolderInstances(folder)) == 1


def test_other_files_do_not_matter(folder):
    put(folder, "a", ZERO_ONE)
    (folder / "images" / "notes.txt").write_text("x")
    (folder / "masks" / ".hidden.png").write_text("x")
    assert len(FolderInstances(folder)) == 1


def test_a_mask_without_an_image_is_named(folder):
    put(folder, "a", ZERO_ONE)
    write_grey(folder / "masks" / "b.png", ZERO_ONE)
    with pytest.raises(ValueError, match=re.escape(str(folder / "masks" / "b.png"))):
        FolderInstances(folder)


def test_two_images_of_one_name_are_refused(folder):
    put(folder, "a", ZERO_ONE)
    Image.new("RGB", (3, 2)).save(folder / "images" / "a.jpg")
    with pytest.raises(ValueError, match=r"a.jpg and a.png have the same name"):
        FolderInstances(folder)


def test_jpeg_masks_are_refused(folder):
    Image.new("RGB", (3, 2)).save(folder / "images" / "a.png")
    Image.new("L", (3, 2)).save(folder / "masks" / "a.JPG")
    with pytest.raises(ValueError, match="JPEG does not keep labels"):
        FolderInstances(folder)


@pytest.mark.parametrize(("kind", "needed"), [("images", "masks"), ("masks", "images")])
def test_an_incomplete_layout_is_explained(tmp_path, kind, needed):
    (tmp_path / kind).mkdir()
    with pytest.raises(ValueError, match=f"expected .*{needed}/"):
        FolderInstances(tmp_path)


def test_empty_folders_are_refused(folder):
    with pytest.raises(ValueError, match="no image in this folder"):
        FolderInstances(folder)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_cut_off_file_is_named(tmp_path, kind):
    make_folder(tmp_path)
    path = tmp_path / kind / "photo2.png"
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        list(FolderInstances(tmp_path))


def test_a_person_s_photo_taken_upright_fits_its_mask(folder):
    put(folder, "a", ZERO_ONE)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (2, 3)).save(folder / "images" / "a.png", exif=exif)
    with pytest.warns(
        UserWarning, match=r"1 of 1 photos are turned by their EXIF data, such as .*a"
    ):
        assert FolderInstances(folder)[0].hw == (2, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_turns_are_said_once_a_data_set(folder, suffix, turn):
    """The upright photo is 30 x 20; a mask that was drawn on the photo as it is stored."""
    stored = (20, 30) if turn < 5 else (30, 20)
    exif = Image.Exif()
    exif[0x0112] = turn
    for name in "ab":
        path = folder / "images" / f"{name}.{suffix}"
        Image.new("RGB", stored[::-1]).save(path, exif=exif)
        write_grey(folder / "masks" / f"{name}.png", np.ones((20, 30), np.uint8))
    assert read_headers(folder / "images", [path.name]).tolist() == [[20, 30, turn]]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert FolderInstances(folder)[0].hw == (20, 30)
    assert [str(w.message).split(" are")[0] for w in said] == ["2 of 2 photos"] * (turn > 1)
    if turn >= 5:
        write_grey(folder / "masks" / "a.png", np.ones(stored, np.uint8))
        with pytest.raises(
            ValueError, match=rf"a\.{suffix} is 30 x 20 .*a\.png is 20 x 30; .*EXIF"
        ):
            FolderInstances(folder)


def test_another_size_is_said_at_the_start(folder):
    for name in "abc":
        put(folder, name, np.ones((20, 30), np.uint8))
    write_grey(folder / "masks" / "b.png", np.ones((21, 30), np.uint8))
    write_grey(folder / "masks" / "c.png", np.zeros((99, 30), np.uint8))
    with pytest.raises(ValueError, match=r"b\.png is 30 x 20 pixels, but .*b\.png is 30 x 21$"):
        FolderInstances(folder)


def test_real_folders(real_data):
    grabcut = FolderInstances(real_data / "grabcut")
    assert len(grabcut) == 49
    assert grabcut.index.object_id.tolist() == [1] * 49
    assert sum(grabcut.read_mask(row)[1].any() for row in range(49)) > 40

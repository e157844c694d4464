import pytest
from support.objects import rows_of
from support.trees import make_coco, make_davis, make_folder, make_sbd, make_voc, write_grey

from dataloaders.open import DATASETS, open_dataset


@pytest.fixture
def root(tmp_path):
    for make in (make_voc, make_sbd, make_coco, make_folder, make_davis):
        make(tmp_path / make.__name__.removeprefix("make_"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "folder", "split", "called"),
    [
        ("pascal", "voc", None, "pascal-val"),
        ("pascal", "voc", "train", "pascal-train"),
        ("sbd", "sbd", None, "sbd-trainval"),
        ("sbd", "sbd", "val", "sbd-val"),
        ("coco", "coco", None, "coco-val2017"),
        ("coco", "coco", "val2017", "coco-val2017"),
        ("folder", "folder", None, "folder-folder"),
        ("davis", "davis", None, "davis-val"),
    ],
)
def test_every_data_set_opens(root, name, folder, split, called):
    instances = open_dataset(name, root / folder, split)
    assert instances.name == called
    assert instances[0].mask.sum() == instances.index.area[0] > 0


def test_shapes_need_no_folder():
    instances = open_dataset("shapes", count=5, seed=3)
    assert len(instances) == 5
    assert rows_of(instances) != rows_of(open_dataset("shapes", count=5, seed=4))


def test_coco_beside_its_images(root):
    published = open_dataset("coco", root / "coco")
    (root / "coco" / "annotations" / "instances_val2017.json").rename(
        root / "coco" / "instances.json"
    )
    (root / "coco" / "val2017").rename(root / "coco" / "images")
    instances = open_dataset("coco", root / "coco")
    assert instances.name == "coco"
    assert rows_of(instances) == rows_of(published)


def test_coco_with_a_named_file_and_the_folder_of_images(root):
    file = root / "coco" / "annotations" / "instances_val2017.json"
    file = file.rename(root / "mine.json")
    instances = open_dataset("coco", root / "coco" / "val2017", annotations=file)
    assert len(instances) == 8


@pytest.mark.parametrize(("name", "folder"), [("coco", "coco"), ("pascal", "voc"), ("sbd", "sbd")])
def test_categories_are_filtered_by_name(root, name, folder):
    everything = open_dataset(name, root / folder)
    wanted = everything.category_names[everything.index.category[0]]
    instances = open_dataset(name, root / folder, categories=[wanted])
    names = {instances.category_names[i.category] for i in instances}
    count = sum(everything.category_names[k] == wanted for k in everything.index.category)
    assert (names, len(instances)) == ({wanted}, count)
    with pytest.raises(ValueError, match="unknown category 'unicorn'"):
        open_dataset(name, root / folder, categories=["unicorn"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("voc", {}, f"unknown data set 'voc'; expected one of {', '.join(DATASETS)}"),
        ("pascal", {}, "pascal needs its folder"),
        ("folder", {"root": "x", "split": "val"}, "folder has no split"),
        ("pascal", {"root": "x", "annotations": "y"}, "pascal has no annotations.* for coco"),
        ("pascal", {"root": "x", "count": 3}, "pascal has no count"),
        ("shapes", {"root": "x"}, "shapes has no root"),
        ("shapes", {"count": 0}, "at least 1 object"),
        ("coco", {"root": "x"}, "annotations/instances_val2017.json .as published. or x/instances"),
        ("coco", {"root": "x", "annotations": "none.json"}, "none.json"),
        *((name, {"root": "x"}, "no such folder") for name in ("pascal", "sbd", "davis", "folder")),
    ],
)
def test_what_cannot_be_opened_is_explained(name, options, message):
    with pytest.raises(ValueError, match=message):
        open_dataset(name, **options)


def test_a_data_set_without_objects_is_refused(root):
    import numpy as np

    for path in (root / "folder" / "masks").iterdir():
        write_grey(path, np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="folder-folder holds no object"):
        open_dataset("folder", root / "folder")

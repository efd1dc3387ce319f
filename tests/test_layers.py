"""All imports point downwards, including late ones, those for type checkers, and Cython's."""

import shutil

import layers
import pytest


@pytest.fixture(scope="module")
def pairs():
    if not layers.PACKAGE.is_dir():
        pytest.skip("the tests do not stand in a source tree")
    return layers.imports()


def test_no_import_points_upwards(pairs):
    assert not layers.upwards(pairs)


def test_no_modules_import_each_other(pairs):
    assert not layers.circle(pairs)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("setting.py", "\n\ndef late():\n    from rfa.training.loop import train\n"),
        ("data/laws.py", "\nif TYPE_CHECKING:\n    from rfa.data.clusters import XORClusters\n"),
        ("kernels/levels.pyx", "\nfrom rfa._kernels cimport (\n    evaluate,\n)\n"),
        ("kernels/plans.pxd", "\nfrom rfa.engines.direct cimport loop\n"),
    ],
)
def test_what_points_upwards_is_found(source, line, pairs, tmp_path, monkeypatch):
    copy = shutil.copytree(layers.PACKAGE, tmp_path / "rfa", ignore=shutil.ignore_patterns("*.so"))
    monkeypatch.setattr(layers, "PACKAGE", copy)
    assert layers.imports() == pairs
    with open(copy / source, "a") as file:
        file.write(line)
    found = layers.imports()
    assert layers.upwards(found) or layers.circle(found)

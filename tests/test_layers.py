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


UPWARDS = [
    ("setting.py", "\n\ndef late():\n    from rfa.training.loop import train\n"),
    ("losses.py", "\nimport rfa.cli\n"),
    ("network.py", "\nfrom rfa import train\n"),
    ("data/noise.py", "\nimport rfa\n"),
    ("kernels/levels.pyx", "\nfrom rfa._kernels cimport (\n    evaluate,\n)\n"),
    ("kernels/plans.pxd", "\nfrom rfa.engines.direct cimport loop\n"),
]
CIRCLES = [
    ("data/laws.py", "\nif TYPE_CHECKING:\n    from rfa.data.clusters import XORClusters\n"),
    ("cli/console.py", "\n\ndef late():\n    from rfa.cli.main import main\n"),
]


@pytest.fixture
def planted(pairs, tmp_path, monkeypatch):
    """The imports of a copy with a line more in one of its files."""
    copy = shutil.copytree(layers.PACKAGE, tmp_path / "rfa", ignore=shutil.ignore_patterns("*.so"))
    monkeypatch.setattr(layers, "PACKAGE", copy)
    assert layers.imports() == pairs

    def imports(source, line):
        with open(copy / source, "a") as file:
            file.write(line)
        return layers.imports()

    return imports


@pytest.mark.parametrize(("source", "line"), UPWARDS)
def test_what_points_upwards_is_found(source, line, planted):
    assert layers.upwards(planted(source, line))


@pytest.mark.parametrize(("source", "line"), CIRCLES)
def test_a_circle_is_found(source, line, planted):
    assert layers.circle(planted(source, line))


@pytest.mark.parametrize("line", ["\nfrom .cli import main\n", '\n__import__("rfa.cli")\n'])
def test_what_cannot_be_followed_is_refused(line, planted):
    with pytest.raises(ValueError, match="cannot follow"):
        planted("losses.py", line)

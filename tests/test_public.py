"""The public names of rfa, as Python and as type checkers see them."""

import ast
from pathlib import Path

import pytest

import rfa


@pytest.mark.parametrize("package", [rfa, rfa.kernels])
def test_type_checkers_see_the_names_that_python_sees(package):
    stub = Path(package.__file__).with_suffix(".pyi")
    names = [
        alias.asname for node in ast.walk(ast.parse(stub.read_text()))
        if isinstance(node, ast.ImportFrom) for alias in node.names
    ]  # fmt: skip
    assert sorted(names) == dir(package)

"""Values that are accepted, values that are converted, and values that are refused."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import rfa
from rfa import _validate

QUICK = settings(deadline=None, max_examples=50)
LARGEST = 2**63 - 1

DTYPES = st.sampled_from(["?", "i1", "u1", "<i4", ">i8", "<u8", "f2", "<f4", ">f4", "<f8", ">f8"])
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)
LAYOUTS = {
    "C": lambda A: A.copy(order="C"),
    "Fortran": lambda A: A.copy(order="F"),
    "every second": lambda A: np.repeat(np.repeat(A, 2, axis=0), 2, axis=1)[::2, ::2],
    "backwards": lambda A: A[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda A: A.T.copy().T,
}


# --------------------------------------------------------------------------- matrices


@QUICK
@given(st.data())
def test_any_type_and_layout_has_the_same_values(data):
    dtype = np.dtype(data.draw(DTYPES))
    elements = (
        st.floats(width=8 * dtype.itemsize, allow_nan=False, allow_infinity=False)
        if dtype.kind == "f"
        else None
    )
    values = data.draw(hnp.arrays(dtype, data.draw(SHAPES), elements=elements))
    given_array = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))](values)
    given_array.flags.writeable = data.draw(st.booleans())
    before, writeable = given_array.tobytes(), given_array.flags.writeable

    result = _validate.samples(given_array)

    assert result.dtype == (np.float32 if values.dtype.newbyteorder("=") == "f4" else np.float64)
    assert result.dtype.isnative and type(result) is np.ndarray
    assert result.tolist() == [[float(v) for v in row] for row in values.tolist()]
    assert not result.flags.writeable
    assert given_array.tobytes() == before and given_array.flags.writeable == writeable
    if dtype.kind == "f" and dtype.itemsize > 2 and dtype.isnative:
        assert np.shares_memory(result, given_array)


@QUICK
@given(
    SHAPES,
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from("CF"),
    st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), min_size=1, max_size=4),
    st.data(),
)
def test_the_first_bad_entry_is_named(shape, dtype, order, bad, data):
    X = np.ones(shape, dtype, order)
    for value in bad:
        X[tuple(data.draw(st.integers(0, side - 1)) for side in shape)] = value
    for i, j in itertools.product(range(shape[0]), range(shape[1])):
        if not math.isfinite(X[i, j]):
            break
    with pytest.raises(ValueError) as error:
        _validate.samples(X)
    assert str(error.value) == f"X must be finite, but X[{i}, {j}] is {X[i, j]}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sign", [1, -1])
def test_finite_entries_are_accepted_though_their_sum_is_not(dtype, sign):
    X = np.full((40, 3), sign * np.finfo(dtype).max, dtype)
    assert _validate.samples(X).tobytes() == X.tobytes()
    X[::2] *= -1
    assert _validate.samples(X).tobytes() == X.tobytes()
    assert rfa.Network(X).W.tobytes() == X.tobytes()


def test_mapped_files_are_neither_copied_nor_changed(tmp_path):
    values = np.arange(12.0).reshape(4, 3)
    values.tofile(tmp_path / "x")
    for mode in ("r", "r+", "c"):
        mapped = np.memmap(tmp_path / "x", float, mode, shape=(4, 3))
        result = _validate.samples(mapped)
        assert type(result) is np.ndarray and np.shares_memory(result, mapped)
        assert result.tolist() == values.tolist()
        assert mapped.flags.writeable == (mode != "r")
        del mapped, result
    assert np.fromfile(tmp_path / "x").tolist() == values.ravel().tolist()


def test_a_network_takes_any_layout_and_leaves_it_alone():
    W = np.random.default_rng(0).standard_normal((6, 3))
    a = np.linspace(-1, 1, 6)
    X = np.random.default_rng(1).standard_normal((9, 3))
    expected = np.maximum(X @ W.T, 0) @ a
    for other in (W.astype(">f8"), np.asfortranarray(W), np.repeat(W, 2, axis=0)[::2], W.tolist()):
        net = rfa.Network(other, a.astype(">f8"))
        assert net.W.tobytes() == W.tobytes() and net.a.tobytes() == a.tobytes()
        np.testing.assert_allclose(net.decision_function(X), expected, rtol=0, atol=1e-13)
    net = rfa.Network(W, a)
    assert W.flags.writeable and a.flags.writeable
    assert not net.W.flags.writeable and not net.a.flags.writeable


# --------------------------------------------------------------------------- vectors


@QUICK
@given(
    st.lists(st.sampled_from([-1, 1]), min_size=1, max_size=9),
    st.sampled_from(["i1", ">i4", "i8", "f2", ">f4", "f8"]),
)
def test_labels_of_any_type(values, dtype):
    given_array = np.array(values, dtype)
    y = _validate.labels(given_array, len(values))
    assert y.tolist() == values and y.dtype == np.int64 and y.dtype.isnative
    assert not y.flags.writeable and given_array.flags.writeable


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u8", "i8", "f4", "f8"])
def test_the_conversion_in_the_message_works(dtype):
    y = np.array([1, 0, 0, 1], dtype)
    with pytest.raises(ValueError, match="use ") as error:
        _validate.labels(y, 4)
    expression = str(error.value).partition("use ")[2]
    assert _validate.labels(eval(expression, {"y": y}), 4).tolist() == [1, -1, -1, 1]


@QUICK
@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_mask_is_its_indices(mask):
    expected = [i for i, chosen in enumerate(mask) if chosen]
    assert _validate.indices(mask, len(mask), "J").tolist() == expected
    assert _validate.indices(expected, len(mask), "J").tolist() == expected
    if expected:
        part = rfa.Network(np.arange(float(len(mask)))[:, None]).subnetwork(mask)
        assert part.W[:, 0].tolist() == expected


# --------------------------------------------------------------------------- numbers


@QUICK
@given(st.integers(-(10**30), 10**30), st.integers(-5, 5))
def test_integers(value, minimum):
    if value >= minimum:
        assert _validate.integer(value, "k", minimum) == value
    else:
        with pytest.raises(ValueError, match=f"^k must be at least {minimum}, got {value}$"):
            _validate.integer(value, "k", minimum)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.array])
def test_numpy_integers_become_ints(kind):
    result = _validate.positive_int(kind(7), "k")
    assert result == 7 and type(result) is int


@QUICK
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9) | st.fractions())
def test_real_numbers(value):
    result = _validate.real(value, "v")
    assert type(result) is float and result == float(value)
    accepts = {
        _validate.positive_float: result > 0,
        _validate.nonnegative_float: result >= 0,
        _validate.fraction: 0 <= result <= 1,
    }
    for function, good in accepts.items():
        if good:
            assert function(value, "v") == result
        else:
            with pytest.raises(ValueError, match="^v must be"):
                function(value, "v")


@pytest.mark.parametrize("value", [np.float32(0.25), np.float64(0.25), Fraction(1, 4)])
def test_a_fraction_of_any_type(value):
    assert type(_validate.fraction(value, "eta")) is float
    assert _validate.fraction(value, "eta") == 0.25


@QUICK
@given(st.lists(st.integers(1, 2**63), min_size=1, max_size=4))
def test_sizes_whose_bytes_cannot_be_counted(values):
    named = dict(zip("nmdk", values, strict=False))
    if math.prod(values) * 8 <= LARGEST:
        _validate.sizes(**named)
        return
    with pytest.raises(ValueError, match="too large to address") as error:
        _validate.sizes(**named)
    for name, value in named.items():
        assert f"{name}={value}" in str(error.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(float, "f8"), ("float32", "f4"), (np.float32, "f4"), (np.dtype("f8"), "f8"), ("d", "f8")],
)
def test_types_of_the_computation(value, expected):
    assert _validate.dtype(value) == np.dtype(expected)


# --------------------------------------------------------------------------- means


@QUICK
@given(st.floats(-10, 10), st.floats(-12, 0), st.booleans())
@example(0.3, -7.9, True)
@example(0.3, -7.9, False)
@example(0.3, -8.1, True)
def test_orthonormal_up_to_rounding(angle, exponent, skew):
    c, s, defect = math.cos(angle), math.sin(angle), 10**exponent
    first, second = np.array([c, s, 0.0]), np.array([-s, c, 0.0])
    # a change along the first vector changes the inner product, one along the second the length
    second = second + defect * first if skew else second * math.sqrt(1 + defect)
    mu = np.stack([first, second])
    seen = max(abs(mu[0] @ mu[1]), abs(mu[0] @ mu[0] - 1), abs(mu[1] @ mu[1] - 1))
    if seen < 0.99e-8:
        assert _validate.orthonormal_pair(mu, 3).tobytes() == mu.tobytes()
    elif seen > 1.01e-8:
        with pytest.raises(ValueError, match=r"^mu must be orthonormal, .* by ") as error:
            _validate.orthonormal_pair(mu, 3)
        assert float(str(error.value).split(" by ")[1]) == pytest.approx(seen, rel=6e-3, abs=1e-14)


@pytest.mark.parametrize("big", [1e160, 1e308])
def test_means_beyond_all_scale_are_not_orthonormal(big):
    # the product is infinite or NaN
    for mu in ([[big, 0], [0, 1]], [[big, big], [big, -big]]):
        with pytest.raises(ValueError, match="^mu must be orthonormal"):
            rfa.XORClusters(mu=mu)


def test_means_are_the_callers_own():
    mu = np.eye(2)
    dist = rfa.XORClusters(mu=mu)
    mu[0, 0] = 7
    assert dist.mu.tolist() == [[1, 0], [0, 1]]
    assert not dist.mu.flags.writeable and not dist.means.flags.writeable


# --------------------------------------------------------------------------- refused

ONE = np.ones((1, 1))
SQUARE = np.ones((5, 5))
REFUSED = {
    "ragged X": (lambda: rfa.Dataset([[1, 2], [3]], [1, 1]), "X must"),
    "ragged y": (lambda: rfa.Dataset([[1], [3]], [1, [1, 1]]), "y must"),
    "ragged W": (lambda: rfa.Network([[1, 2], [3]]), "W must"),
    "ragged a": (lambda: rfa.Network([[1], [3]], [1, [2, 3]]), "a must"),
    "ragged mu": (lambda: rfa.XORClusters(mu=[[1, 0], [1]]), "mu must"),
    "ragged balance": (lambda: rfa.XORClusters(balance=[1, 0, 0, [0, 0]]), "balance must"),
    "ragged cluster": (
        lambda: rfa.Dataset(ONE, [1], y_clean=[1], cluster=[0, [0, 0]], means=ONE),
        "cluster must",
    ),
    "ragged J": (lambda: rfa.Network(ONE).subnetwork([0, [0, 0]]), "J must"),
    "J of two dimensions": (lambda: rfa.Network(ONE).subnetwork(SQUARE.astype(int)), "J must"),
    "J of floats": (lambda: rfa.Network(ONE).subnetwork([0.0]), "J must"),
    "J negative": (lambda: rfa.Network(ONE).subnetwork([-1]), r"J must be in 0\.\.0, but J\[0\]"),
    "J a short mask": (lambda: rfa.Network(SQUARE).subnetwork([True]), r"J must have shape \(5,\)"),
    "alpha too large": (lambda: _validate.real(10**400, "alpha"), "alpha must be finite"),
    "alpha an array": (lambda: _validate.positive_float(SQUARE, "alpha"), "alpha must be a real"),
    "alpha complex": (lambda: _validate.positive_float(1j, "alpha"), "alpha must be a real"),
    "alpha a word": (lambda: _validate.positive_float("1", "alpha"), "alpha must be a real"),
    "alpha None": (lambda: _validate.positive_float(None, "alpha"), "alpha must be a real"),
    "sigma True": (lambda: rfa.XORClusters(sigma=np.True_), "sigma must be a real"),
    "omega_init inf": (lambda: rfa.Network.random(omega_init=np.inf), "omega_init must be finite"),
    "m an array": (lambda: rfa.Network.random(m=SQUARE), "m must be an integer"),
    "m True": (lambda: rfa.Network.random(m=True), "m must be an integer"),
    "m a float": (lambda: rfa.Network.random(m=3.0), "m must be an integer"),
    "n negative": (lambda: rfa.XORClusters().sample(-1), "n must be at least 1"),
    "rng an array": (lambda: rfa.Network.random(rng=SQUARE), "rng must be"),
    "eta nan": (lambda: rfa.XORClusters(eta=math.nan), "eta must be finite"),
    "eta negative": (lambda: rfa.XORClusters(eta=-1e-9), r"eta must be in \[0, 1\]"),
    "eta of data": (lambda: rfa.Dataset(ONE, [1], eta=[1.5]), r"eta must be in \[0, 1\]"),
    "eta of too few": (lambda: rfa.Dataset(SQUARE, [1] * 5, eta=[0.5]), "eta must have 5"),
    "law a list": (lambda: rfa.XORClusters(law=["gaussian"]), "law must be"),
    "noise a list": (lambda: rfa.XORClusters(noise=["exact"]), "noise must be"),
    "noise an array": (lambda: rfa.XORClusters(noise=np.arange(2)), "noise must be"),
    "d beyond all use": (lambda: rfa.XORClusters(d=2**60), "means and d make"),
    "d where the means do not fit": (lambda: rfa.XORClusters(d=2**59), "means and d make"),
    "d of random means": (lambda: rfa.random_means(2**62), "means and d make"),
    "cluster without a mean": (
        lambda: rfa.Dataset(ONE, [1], y_clean=[1], cluster=[1], means=ONE),
        "cluster must be below the number of means, 1",
    ),
    "cluster negative": (
        lambda: rfa.Dataset(ONE, [1], y_clean=[1], cluster=[-1], means=ONE),
        r"cluster must be 0\.\.G-1, but cluster\[0\] is -1",
    ),
    "cluster of floats": (
        lambda: rfa.Dataset(ONE, [1], y_clean=[1], cluster=[0.0], means=ONE),
        "cluster must be an array of integers",
    ),
    "means of another dimension": (
        lambda: rfa.Dataset(ONE, [1], y_clean=[1], cluster=[0], means=[[1, 2]]),
        "means must have 1 columns",
    ),
    "y_clean of 0": (
        lambda: rfa.Dataset(ONE, [1], y_clean=[0], cluster=[0], means=ONE),
        r"y_clean must be -1 or \+1",
    ),
    "y nan": (lambda: rfa.Dataset(ONE, [math.nan]), r"y must be -1 or \+1, but y\[0\] is nan"),
    "X of times": (lambda: rfa.Dataset(np.zeros((1, 1), "M8[s]"), [1]), "X must be an array of"),
    "X of three dimensions": (lambda: rfa.Dataset(np.ones((1, 1, 1)), [1]), "X must have 2 dim"),
    "X without columns": (lambda: rfa.Dataset(np.ones((1, 0)), [1]), "X must not be empty"),
    "X beyond float64": (lambda: rfa.Dataset([[np.longdouble("1e400")]], [1]), "X must be finite"),
    "dtype of the other order": (
        lambda: rfa.XORClusters().sample(2, dtype=">f8"),
        "dtype must be float32 or float64",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name_in_one_line(case):
    call, words = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=words) as error:
        call()
    assert str(error.value).startswith(words.split()[0])
    assert "\n" not in str(error.value)

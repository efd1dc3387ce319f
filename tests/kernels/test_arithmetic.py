"""What compiled code must not take from where it is used: sizes, alignment, rounding modes."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import problems
import pytest

import rfa
from rfa import _kernels, _validate
from rfa.engines import packing
from rfa.kernels import levels, plans

# --------------------------------------------------------------------------- sizes

# No machine addresses as much; of 32 bits of it 16 are left.
HUGE = 2**46 + 16


def repeated(*shape, dtype=np.float64):
    """An array of ones that takes no memory, whatever its size."""
    return np.broadcast_to(np.ones((), dtype), shape)


@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.parametrize(("n", "d", "m"), [(1, 1, HUGE), (HUGE, 1, 1), (1, HUGE, 1)])
def test_more_than_memory_is_a_memory_error(n, d, m, dtype):
    X, W, a = repeated(n, d, dtype=dtype), repeated(m, d, dtype=dtype), repeated(m, dtype=dtype)
    room = np.empty(1, dtype)
    with pytest.raises(MemoryError, match="do not fit into memory"):
        _kernels.forward(X, W, a, room, 1)
    with pytest.raises(MemoryError, match="do not fit into memory"):
        _kernels.gradient(X, repeated(n), W, a, np.empty((1, 1), dtype), 1)
    with pytest.raises(MemoryError, match="do not fit into memory"):
        _kernels.activation_masks(X, W, np.empty((1, 1), np.uint64), 1)


def test_a_product_of_sizes_beyond_64_bits_is_a_memory_error():
    # n m / 8 bytes of masks: 2^67, of which 64 bits would leave 0
    n = m = 2**35
    with pytest.raises(MemoryError, match="do not fit into memory"):
        _kernels.activation_masks(repeated(n, 1), repeated(m, 1), np.empty((1, 1), np.uint64), 1)
    with pytest.raises(MemoryError, match="do not fit into memory"):
        # a lane is padded to a word of samples: 2^64 numbers
        _kernels.forward(repeated(1, 2**58), repeated(1, 2**58), repeated(1), np.empty(1), 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: rfa.kernels.forward(np.ones((1, 1)), repeated(HUGE, 1), repeated(HUGE)),
        lambda: rfa.kernels.forward(repeated(HUGE, 1), np.ones((1, 1)), [1.0]),
        lambda: rfa.kernels.activation_masks(repeated(HUGE, 1), np.ones((1, 1))),
        lambda: rfa.kernels.gradient(np.ones((1, 1)), [1], repeated(HUGE, 1), repeated(HUGE)),
        lambda: rfa.kernels.step(np.ones((1, 1)), [1], repeated(HUGE, 1), repeated(HUGE), 0.1),
        lambda: rfa.kernels.active_counts(np.ones((1, 1)), repeated(HUGE, 1), [0]),
    ],
)
def test_public_kernels_find_out_at_once(call):
    with pytest.raises(MemoryError):
        call()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_repeated_entries_are_looked_at_once_but_they_are(value):
    wrong = np.broadcast_to(np.array([[1.0], [value]]), (2, HUGE))
    with pytest.raises(ValueError, match=r"X must be finite, but X\[1, 0\] is"):
        rfa.kernels.forward(wrong, np.ones((1, 1)), [1.0])


def test_counts_of_samples_and_neurons_fit_their_type():
    data = rfa.Dataset(np.ones((2, 1)), [1, -1])
    many = rfa.Network.of(repeated(2**31, 1), repeated(2**31), None, None)
    with pytest.raises(ValueError, match=r"net must have at most 2\^31 - 1 neurons"):
        rfa.train(many, data, steps=1)


def test_numbers_of_a_block_fit_their_types():
    assert levels.SIZES["block"] < 2**8
    assert plans.STORE_BYTES < 2**16


# --------------------------------------------------------------------------- alignment


def packed(values):
    """The values in a structure without padding: at odd addresses, odd distances apart."""
    room = np.zeros(values.shape, [("byte", "u1"), ("value", values.dtype)])
    room["value"] = values
    return room["value"]


def at_odd_offset(values, folder):
    path = folder / f"{len(list(folder.iterdir()))}"
    path.write_bytes(b"!" + values.tobytes())
    return np.memmap(path, values.dtype, "r", offset=1, shape=values.shape)


@pytest.mark.parametrize("dtype", problems.DTYPES)
@pytest.mark.parametrize("how", ["packed", "file"])
def test_arrays_that_are_not_aligned(how, dtype, tmp_path):
    rng = problems.own_rng(3)
    n, d, m = 70, 5, 9
    X, W = rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((m, d)).astype(dtype)
    a, y = rng.standard_normal(m), rng.choice([-1, 1], n)
    groups = rng.integers(0, 3, n)

    def moved(array):
        result = packed(array) if how == "packed" else at_odd_offset(array, tmp_path)
        assert not result.flags.aligned
        return result

    for name in ("X", "W"):
        assert _validate.array(moved({"X": X, "W": W}[name]), name, 2).flags.aligned
    k = rfa.kernels
    args = (moved(X), moved(y), moved(W), moved(a))
    assert np.array_equal(k.activation_masks(args[0], args[2]), k.activation_masks(X, W))
    assert np.array_equal(k.forward(args[0], *args[2:]), k.forward(X, W, a))
    assert np.array_equal(k.gradient(*args), k.gradient(X, y, W, a))
    assert np.array_equal(
        k.active_counts(args[0], args[2], moved(groups)), k.active_counts(X, W, groups)
    )
    runs = [
        rfa.train(rfa.Network(w, second), rfa.Dataset(x, labels), alpha=0.1, steps=5)
        for x, labels, w, second in (args, (X, y, W, a))
    ]
    assert np.array_equal(runs[0].network.W, runs[1].network.W)


# --------------------------------------------------------------------------- floating-point mode

libm = ctypes.CDLL(ctypes.util.find_library("m"))
on_x86_linux = pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.system() != "Linux",
    reason="needs to know where fenv_t has the bits that flush subnormal numbers",
)
# of glibc's fenv_t on x86-64: size, and where MXCSR stands in it
ENVIRONMENT, MXCSR = 32, 28
FLUSH = 0x8040  # flush to zero, and take subnormal numbers for zero
UPWARD = 0x4000  # round up


@contextmanager
def control_bits(bits):
    """Bits of the calling thread's MXCSR that another library has set, and must find again."""
    own = (ctypes.c_uint8 * ENVIRONMENT)()
    assert libm.fegetenv(own) == 0
    other = (ctypes.c_uint8 * ENVIRONMENT).from_buffer_copy(own)
    word = ctypes.c_uint32.from_buffer(other, MXCSR)
    word.value |= bits
    assert libm.fesetenv(other) == 0
    try:
        yield
        found = (ctypes.c_uint8 * ENVIRONMENT)()
        libm.fegetenv(found)
        assert ctypes.c_uint32.from_buffer(found, MXCSR).value & 0xFFC0 == word.value & 0xFFC0
    finally:
        libm.fesetenv(own)


def subnormal_cases():
    """Cases with weights so small that pre-activations are subnormal."""
    names = ("n=313 d=17 m=46", "n=313 d=2 m=45")
    return [replace(case, W=case.W * 1e-307) for case in map(problems.cases().get, names)]


def runs_of(cases, n_threads):
    """W, norms and outputs of runs of each case on every engine."""
    found = {}
    for case in cases:
        for engine in case.engines:
            data, net = rfa.Dataset(case.X, case.y), rfa.Network(case.W, case.a)
            # alpha / n is the smallest normal number, and a little more
            run = rfa.train(net, data, alpha=7e-306, steps=3, engine=engine, n_threads=n_threads)
            found[f"{case.name} {engine}"] = run.network.W
            found[f"{case.name} {engine} norm"] = run.history.norm
        found[case.name] = rfa.kernels.forward(case.X, case.W, case.a, n_threads)
    return found


@on_x86_linux
@pytest.mark.parametrize("bits", [FLUSH, UPWARD])
def test_the_callers_mode_changes_no_bit_and_stays(bits, monkeypatch):
    monkeypatch.setattr(packing, "PARALLEL_WORK", 1)
    cases = subnormal_cases()
    expected = runs_of(cases, 1)
    # the numbers are ones that these modes would change
    assert any(0 < abs(W[W != 0]).min() < np.finfo(float).tiny for W in expected.values())
    for n_threads in (1, 2, 3):
        with control_bits(bits):
            found = runs_of(cases, n_threads)
        for name, W in expected.items():
            assert np.array_equal(found[name], W), (name, n_threads)
        # threads that were started, or set, while the caller's mode was another
        found = runs_of(cases, n_threads)
        for name, W in expected.items():
            assert np.array_equal(found[name], W), (name, n_threads)


@on_x86_linux
def test_an_error_leaves_the_callers_mode():
    case = problems.cases()["n=313 d=17 m=46"]
    net, data = rfa.Network(case.W, case.a), rfa.Dataset(case.X, case.y)

    def fails(t, row):
        raise LookupError(t)

    with control_bits(FLUSH), pytest.raises(LookupError):
        rfa.train(net, data, alpha=0.1, steps=5, stop=fails)

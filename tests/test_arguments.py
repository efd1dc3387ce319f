"""Every argument of every public function, with values that it must refuse or survive.

Functions, classes and methods are found by inspection, so that a new one is tested without being
listed here; a parameter of a new name needs a valid value in GOOD, and the test says so.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import math
import re
import warnings
from decimal import Decimal
from fractions import Fraction

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import rfa
from rfa.engines import registry

matplotlib.use("Agg")

# without rfa.reference: the oracle does not check its arguments
MODULES = ("rfa", "rfa.kernels", "rfa.theory", "rfa.studies", "rfa.plot", "rfa.baselines")


# Functions with public names that only rfa calls, with arguments that it has checked.
INTERNAL = {"Dataset.of", "Network.of", "Network.trained", "Network.from_arrays"}


class Word(str):
    pass


class Whole(int):
    pass


class Real(float):
    pass


class Rows(list):
    pass


class Matrix(np.ndarray):
    pass


class Ambiguous:
    """Neither true nor false, and without a repr."""

    def __bool__(self):
        raise ValueError("neither true nor false")

    def __eq__(self, other):
        raise RuntimeError("not comparable")

    __hash__ = object.__hash__

    def __repr__(self):
        raise RuntimeError("no repr")


# Functions, since an iterator can be used once only.
HOSTILE = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "numpy's True": lambda: np.True_,
    "a word": lambda: "no such thing",
    "an empty word": lambda: "",
    "a word with a number": lambda: "3",
    "a word of a subclass": lambda: Word("no such thing"),
    "bytes": lambda: b"3",
    "a bytearray": lambda: bytearray(b"3"),
    "an object": object,
    "what has no truth value": Ambiguous,
    "0": lambda: 0,
    "-1": lambda: -1,
    "-0.0": lambda: -0.0,
    "3.0": lambda: 3.0,
    "2.5": lambda: 2.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "1e-320": lambda: 1e-320,
    "1e300": lambda: 1e300,
    "1e308": lambda: 1e308,
    "-1e308": lambda: -1e308,
    "2**63 - 1": lambda: 2**63 - 1,
    "2**63": lambda: 2**63,
    "2**64": lambda: 2**64,
    "-2**63 - 1": lambda: -(2**63) - 1,
    "10**400": lambda: 10**400,
    "-10**400": lambda: -(10**400),
    "10**5000": lambda: 10**5000,
    "-10**5000": lambda: -(10**5000),
    "a list of 10**5000": lambda: [10**5000],
    "a complex number": lambda: 1j,
    "an int of a subclass": lambda: Whole(-3),
    "a float of a subclass": lambda: Real(-2.5),
    "numpy's int8": lambda: np.int8(-3),
    "numpy's float32": lambda: np.float32(-0.5),
    "numpy's complex": lambda: np.complex64(1j),
    "numpy's nan": lambda: np.float64(math.nan),
    "a time": lambda: np.timedelta64(3, "s"),
    "a Decimal": lambda: Decimal("-2.5"),
    "a large Decimal": lambda: Decimal("1e400"),
    "a Decimal of nan": lambda: Decimal("sNaN"),
    "a Fraction": lambda: Fraction(-5, 2),
    "a large Fraction": lambda: Fraction(10**5000),
    "0-d": lambda: np.array(3),
    "0-d of float": lambda: np.array(0.5),
    "0-d of bool": lambda: np.array(True),
    "0-d of text": lambda: np.array("3"),
    "0-d of objects": lambda: np.array(None),
    "0-d masked": lambda: np.ma.array(3, mask=True),
    "masked": lambda: np.ma.masked,
    "one entry": lambda: np.array([0.5]),
    "1-d": lambda: np.arange(3),
    "1-d of float": lambda: np.array([0.25, 1.0, -2.0]),
    "1-d of bool": lambda: np.array([True, False]),
    "1-d of complex": lambda: np.array([1j, 2]),
    "1-d of objects": lambda: np.array([None, 3], dtype=object),
    "1-d of text": lambda: np.array(["a", "b"]),
    "1-d of times": lambda: np.array([1, 2], "M8[s]"),
    "1-d masked": lambda: np.ma.array([1.0, 2.0], mask=[True, False]),
    "1-d with nan": lambda: np.array([math.nan, 1]),
    "1-d with inf": lambda: np.array([math.inf, 1]),
    "empty": lambda: np.empty(0),
    "empty 2-d": lambda: np.empty((0, 3)),
    "2-d": lambda: np.eye(3),
    "2-d of int": lambda: np.ones((2, 3), int),
    "2-d with nan": lambda: np.full((2, 3), math.nan),
    "2-d with inf": lambda: np.full((2, 3), math.inf),
    "2-d of 1e308": lambda: np.full((2, 3), 1e308),
    "2-d of 1e308 of both signs": lambda: np.array([[1e308, -1e308, 1e308]] * 2),
    "2-d of a subclass": lambda: np.eye(3)[:2].view(Matrix),
    "3-d": lambda: np.ones((2, 2, 2)),
    "a record array": lambda: np.zeros(2, [("x", float)]),
    "an empty list": list,
    "a ragged list": lambda: [[1, 2], [3]],
    "a list of words": lambda: ["a", "b"],
    "a list of a subclass": lambda: Rows([[1, 0, 0]]),
    "a list of None": lambda: [None],
    "a tuple": lambda: (1, -2),
    "a set": lambda: {1, 2},
    "an empty dict": dict,
    "a dict": lambda: {"a": 1},
    "a dict of 3": lambda: {3: 4},
    "a generator": lambda: (k for k in (1, -2, "x")),
    "a range": lambda: range(-2, 3),
    "a dtype": lambda: np.dtype("int8"),
    "an Ellipsis": lambda: ...,
}


@functools.cache
def small():
    """Valid arguments by name; a function gets those that it has."""
    exp = rfa.Experiment(n=40, d=3, m=8, n_test=5)
    run = exp.run(rng=0)
    data = run.data
    X, W = np.array([[1.0, 2, 0], [0, 1, -1]]), np.array([[1.0, 0, 1], [0, 1, 0]])
    return {
        "X": X,
        "W": W,
        "a": np.array([0.5, -0.5]),
        "y": np.array([1, -1]),
        "groups": np.array([0, 1]),
        "y_clean": None,
        "cluster": None,
        "means": None,
        "eta": None,
        "distribution": None,
        "seed": None,
        "split": None,
        "J": [0, 2],
        "run": run,
        "exp": exp,
        "net": run.initial,
        "network": run.network,
        "data": data,
        "test": data,
        "audit": rfa.theory.audit(exp),
        "study": checked_study(),
        "statement": "lemma_4_2",
        "ax": None,
        "alpha": 0.05,
        "steps": 3,
        "n": 40,
        "d": 3,
        "m": 8,
        "n_test": 0,
        "k": 3,
        "confidence": 0.9,
        "C": None,
        "C0": 5.0,
        "delta": 0.1,
        "R": 1.0,
        "sigma": 0.1,
        "omega_init": 0.1,
        "noise": "independent",
        "law": "gaussian",
        "balance": None,
        "mu": None,
        "dtype": "float64",
        "rng": 0,
        "generator": np.random.default_rng(0),
        "trials": 2,
        "grid": None,
        "measure": "final",
        "progress": False,
        "engine": "auto",
        "record": "log",
        "snapshots": (),
        "stop": None,
        "n_threads": 1,
        "draws": 3,
        "starts": 1,
        "width": None,
        "resolution": 9,
        "t": 1,
        "name": "theorem",
        "text": exp.to_json(),
        "values": rfa.XORClusters(d=3).to_dict(),
        "path": "file",
        "points": 50,
        "intercept": True,
        "statements": None,
        "long": False,
        "id": "mine",
        "evaluate": lambda run, **rest: "not today",
        "numbers": ("", ""),
        "needs": (),
        "probability": None,
        "found": checked_study().frequencies(),
    }


@functools.cache
def checked_study():
    return rfa.study(rfa.Experiment(n=40, d=3, m=8), trials=2, rng=0, measure="check")


# Other valid values for some functions.
GOOD = {
    "XORClusters": {"eta": 0.15},
    "Experiment": {"eta": 0.15},
    "feasible": {"eta": 0.15},
    "test_error": {"distribution": rfa.XORClusters(d=3)},
    "linear_optimum": {"distribution": rfa.XORClusters(d=3)},
    "XORClusters.sample": {"split": "test"},
    "Experiment.sample": {"split": "train"},
    "style": {"size": "slide"},
}

METHODS_OF = {
    "Dataset": lambda: small()["data"],
    "XORClusters": lambda: rfa.XORClusters(d=3),
    "Network": lambda: small()["network"],
    "Run": lambda: small()["run"],
    "History": lambda: small()["run"].history,
    "Row": lambda: small()["run"].history.row(1),
    "Study": checked_study,
    "Experiment": lambda: small()["exp"],
    "Report": lambda: rfa.theory.check(small()["run"]),
    "Check": lambda: rfa.theory.check(small()["run"])["lemma_4_2"],
    "Baseline": lambda: rfa.baselines.best_linear(small()["data"], points=50),
    "Audit": lambda: small()["audit"],
    "Feasible": lambda: rfa.theory.feasible(),
}


def public():
    """All public callables, by name."""
    found = {}
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in dir(module):
            value = getattr(module, name)
            home = getattr(value, "__module__", None) or ""
            if name.startswith("_") or not callable(value) or not home.startswith("rfa"):
                continue
            if name not in getattr(module, "__all__", [name]):
                continue
            if "__all__" not in vars(module) and home != module_name:
                continue
            if inspect.isclass(value):
                # other classes are results of functions; users do not make instances of them
                if "Parameters\n" in (value.__doc__ or ""):
                    found[name] = value
                found |= methods(name, value)
            else:
                found[name] = value
    return {name: f for name, f in found.items() if name not in INTERNAL}


def methods(owner, cls):
    found = {}
    if issubclass(cls, (BaseException, tuple)):
        return found
    for name, value in vars(cls).items():
        if name.startswith("_") or isinstance(value, property):
            continue
        if isinstance(value, classmethod):
            found[f"{owner}.{name}"] = getattr(cls, name)
        elif inspect.isfunction(value) and list(inspect.signature(value).parameters)[1:]:
            found[f"{owner}.{name}"] = functools.partial(bound, owner, name)
    return found


def bound(owner, name, *args, **kwargs):
    return getattr(METHODS_OF[owner](), name)(*args, **kwargs)


def signature(name, function):
    if isinstance(function, functools.partial):
        owner, method = function.args
        return inspect.signature(getattr(METHODS_OF[owner](), method))
    return inspect.signature(function)


CALLABLES = public()


def good(name, parameter):
    simple = name.split(" ")[0]
    for key in (name, simple):
        if parameter in GOOD.get(key, {}):
            return GOOD[key][parameter]
    return small()[parameter]


def arguments(name, function):
    """Valid values for all parameters."""
    parameters = signature(name, function).parameters.values()
    named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    return {parameter: good(name, parameter) for parameter in named}


def has_nan(value):
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and bool(np.isnan(np.asarray(value)).any())
    if isinstance(value, tuple):
        return any(map(has_nan, value))
    return isinstance(value, float) and math.isnan(value)


def outcome(name, function, values, parameter, label):
    """A fault of the call's outcome, or nothing; and whether the call was refused."""
    # finite arrays whose products are not: see test_kernels_and_oracle_agree_on_extreme_arguments
    overflows = "1e308" in label and parameter in ("X", "W")
    try:
        result = function(**values)
    except (ValueError, TypeError) as error:
        said = str(error)
        if "truth value" in said or "unhashable" in said or "\n" in said:
            return f"{type(error).__name__}: {said}", True
        # if two arguments contradict each other, the message may name the other one
        others = "|".join(values)
        if not re.search(rf"\b{parameter}\b|^({others})\b|os.PathLike", said):
            return f"does not name it: {type(error).__name__}: {said}", True
        return "", True
    except Exception as error:
        documented = (name == "History.row" and type(error) is KeyError) or (
            parameter == "path" and isinstance(error, OSError)
        )
        return "" if documented else f"{type(error).__name__}: {error}", True
    return f"returns {result!r}" if has_nan(result) and not overflows else "", False


@pytest.mark.parametrize("name", CALLABLES)
def test_hostile_arguments_are_taken_or_refused_by_name(name, monkeypatch, tmp_path):
    """A call returns or refuses in one sentence, without a warning, NaN, or a started run."""
    function = CALLABLES[name]
    begun = []
    make = registry.make
    monkeypatch.setattr(registry, "make", lambda *args: begun.append(args) or make(*args))
    monkeypatch.chdir(tmp_path)
    values = arguments(name, function)
    wrong = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # T is rounded down
        warnings.filterwarnings("ignore", r"1/\(4 alpha\)", UserWarning)
        if "path" not in values:
            assert not has_nan(function(**values)), "of valid arguments"
        for parameter in values:
            for label, hostile in HOSTILE.items():
                begun.clear()
                given = {**values, parameter: hostile()}
                found, refused = outcome(name, function, given, parameter, label)
                if refused and begun:
                    found = "refused when a run had begun"
                if found:
                    wrong.append(f"{parameter} = {label}: {found[:300]}")
        plt.close("all")
    assert not wrong, "\n".join([f"{name}:", *wrong])


FREE = {
    "a value of select": (lambda value: checked_study().select(m=value), "m"),
    "a value of the grid": (
        lambda value: rfa.study(small()["exp"], {"eta": [value]}, trials=1),
        "eta",
    ),
    "a grid of one value": (
        lambda value: rfa.study(small()["exp"], {"steps": value}, trials=1),
        "steps",
    ),
    "means of the grid": (lambda value: rfa.study(small()["exp"], {"mu": [value]}, trials=1), "mu"),
    "an engine of a run": (lambda value: small()["exp"].run(0, engine=value), "engine"),
    "a parameter": (lambda value: small()["exp"].replace(balance=value), "balance"),
}


@pytest.mark.parametrize("case", FREE)
def test_hostile_values_of_free_keywords_are_taken_or_refused_by_name(case):
    call, parameter = FREE[case]
    wrong = []
    for label, hostile in HOSTILE.items():
        found, _ = outcome(case, call, {"value": hostile()}, parameter, label)
        if found:
            wrong.append(f"{label}: {found[:300]}")
    assert not wrong, "\n".join(wrong)


def test_all_that_is_public_is_walked():
    """A fault of ``public`` must not leave the test above without functions."""
    expected = {"train", "study", "XORClusters.sample", "Run.save", "forward", "lemma_4_9"}
    assert {*expected, "decision_boundary", "checks"} <= CALLABLES.keys()
    assert len(CALLABLES) >= 68


# ----------------------------------------------------------- arguments that contradict each other


def whole():
    """All arguments of a Dataset, as keywords."""
    data = rfa.XORClusters(d=3).sample(40, rng=0)
    names = ("X", "y", "y_clean", "cluster", "means", "eta", "distribution", "seed", "split")
    return {name: getattr(data, name) for name in names}


CONTRADICTIONS = {
    "a law of another dimension": (
        {"distribution": rfa.XORClusters(d=7)},
        "distribution has d=7, but X has 3 columns",
    ),
    "another law's means": ({"means": 2 * np.eye(4, 3)}, "means must be those of the distribution"),
    "the other label of the clusters": (
        {"y_clean": -whole()["y_clean"]},
        r"y_clean must be the distribution's label of each cluster, but y_clean\[0\]",
    ),
    "another rate": (
        {"eta": np.full(40, 0.1)},
        r"eta must be the distribution's 0.15, but eta\[0\] is 0.1",
    ),
    "no law but a word": ({"distribution": "x"}, "distribution must be a rfa.XORClusters or None"),
    "no seed but a word": ({"seed": "x"}, "seed must be an int, a SeedSequence"),
    "no split": ({"split": object()}, "split must be a str or None"),
    "clusters without means": ({"means": None}, "y_clean, cluster, means must be given together"),
    "another number of labels": (
        {"y": [1, -1]},
        "y must have one label for each",
    ),
    "another number of clean labels": (
        {"y_clean": [1]},
        "y_clean must have one label for each",
    ),
    "another number of clusters": ({"cluster": [0]}, r"cluster must have shape \(40,\)"),
    "another number of rates": ({"eta": [0.5]}, "eta must have 40 entries"),
    "means of another dimension": ({"means": np.eye(4)}, "means must have 3 columns"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_contradicts_the_rest_of_a_data_set_is_refused(case):
    changes, words = CONTRADICTIONS[case]
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        rfa.Dataset(**{**whole(), **changes})


def test_a_data_set_of_all_that_is_known_trains_and_is_saved(tmp_path):
    """A Dataset made from sampled arrays, or from parts of them, trains with the same bits."""
    known = whole()
    means, net = known["means"].astype(np.float32), rfa.Network.random(8, 3)
    data = rfa.Dataset(**{**known, "means": means, "seed": 0})
    assert data.means.dtype == np.float64 and data.seed.entropy == 0
    run = rfa.train(net, data, steps=3)
    run.save(tmp_path / "run.npz")
    again = rfa.load(tmp_path / "run.npz")
    assert again.data.distribution == known["distribution"] and again.data.seed.entropy == 0
    sampled = rfa.train(net, rfa.XORClusters(d=3).sample(40, rng=0), steps=3)
    assert again.history == sampled.history
    part = {name: known[name][:9] for name in ("X", "y", "y_clean", "cluster", "eta")}
    assert rfa.Dataset(**{**known, **part}).n == 9


def entropies():
    """The types of entropy that NumPy takes. Some versions take no nested lists."""
    for entropy in ([1, [2, 3]], ["12", 2**40], np.arange(3), 2**200):
        try:
            np.random.SeedSequence(entropy)
        except TypeError:
            continue
        yield entropy


@pytest.mark.parametrize("entropy", list(entropies()))
def test_seeds_of_any_entropy_are_stored(entropy, tmp_path):
    seed = np.random.SeedSequence(entropy)
    rfa.Network.random(2, 2, rng=seed).save(tmp_path / "net.npz")
    again = rfa.load(tmp_path / "net.npz").seed
    assert again.generate_state(4).tolist() == seed.generate_state(4).tolist()


# ----------------------------------------------------------- at the ends of the range


# Powers of two, so that equal terms cancel to 0 in any order. None is subnormal.
EXTREMES = [0.0, *(2.0**k for k in (-1000, 0, 126, 600, 1023))]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_and_oracle_agree_on_extreme_arguments(dtype):
    """Results equal the oracle's up to rounding, and are finite if its are; or the call refuses."""
    limit = float(np.finfo(dtype).max)
    refused = 0
    for x, w, a, alpha in itertools.product(EXTREMES, repeat=4):
        if max(x, w) > limit:
            continue
        # two terms of one neuron, then of two: the difference of overflowing terms is NaN
        X, W = np.array([[x, x], [x, -x]], dtype), np.array([[w, w], [w, -w]], dtype)
        y, second = np.array([1, -1]), np.array([a, -a])
        calls = {
            "forward": (X, W, second),
            "gradient": (X, y, W, second),
            "step": (X, y, W, second, alpha),
        }
        for name, values in calls.items():
            if name != "step" and alpha != 1.0:
                continue
            smallest = float(np.finfo(dtype).tiny)
            wrong = "a" if a > limit else ""
            wrong = "alpha" if name == "step" and not smallest <= alpha <= limit else wrong
            function = getattr(rfa.kernels, name)
            if wrong:
                refused += 1
                with pytest.raises(ValueError, match=f"^{wrong} must be"):
                    function(*values)
                continue
            found = function(*values)
            cast = [
                v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
                for v in values
            ]
            with np.errstate(all="ignore"):
                expected = getattr(rfa.reference, name)(*cast)
            finite = np.isfinite(expected)
            assert np.isfinite(found[finite]).all(), (name, x, w, a, alpha)
            scale = max(np.abs(expected[finite]).max(initial=0), smallest)
            error = np.abs(found[finite] / scale - expected[finite] / scale)
            assert error.max(initial=0) <= 8 * np.finfo(dtype).eps, (name, x, w, a, alpha)
    assert refused


def test_intervals_of_more_trials_than_quantiles_are_known_for():
    for k, n in [(1, 10**400), (10**29, 10**30), (1, 2**40 + 1), (5, 10**5000)]:
        with pytest.raises(ValueError, match=r"^n must be at most 2\^40"):
            rfa.theory.clopper_pearson(k, n)


@pytest.mark.parametrize("share", [0.5, 1 / 3, 1e-3, 0.9])
@pytest.mark.parametrize("confidence", [1e-6, 0.5, 0.95, 1 - 1e-9])
def test_intervals_of_many_trials_are_those_of_the_normal_law(share, confidence):
    from scipy.special import ndtri

    n = 2**40
    k = round(n * share)
    low, high = rfa.theory.clopper_pearson(k, n, confidence)
    assert 0 < low <= k / n <= high < 1
    sigma = math.sqrt(k / n * (1 - k / n) / n)
    # wider by 1/n, since the law is discrete
    width = 2 * ndtri((1 + confidence) / 2) + 1 / (n * sigma)
    assert (high - low) / sigma == pytest.approx(width, abs=1e-3)


def test_a_step_for_ever_is_not_waited_for():
    data, net = rfa.XORClusters(d=3).sample(40), rfa.Network.random(8, 3)
    for name in ("record", "snapshots"):
        with pytest.raises(ValueError, match=f"^{name} has step 4, but the run ends at 3"):
            rfa.train(net, data, steps=3, **{name: itertools.count()})

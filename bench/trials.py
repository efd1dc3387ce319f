"""Many trials: frequencies of the statements, and the wall time beside plain NumPy.

NumPy draws the same data and networks, takes the same steps (rfa.reference), and counts the clean
samples that are wrong and the noisy ones that are fitted: less than rfa.study does with
measure="check", which checks every statement, and as much as with measure="final".

Use: python bench/trials.py [--trials K] [--numpy-trials L] [--noise]
"""

import argparse
import functools
import time

import numpy as np

import rfa
from rfa import reference
from rfa.studies import checks

THEOREM = rfa.preset("theorem")
SHOWN = ("theorem_3_1_1", "lemma_4_10_alignment", "definition_4_5", "lemma_4_4")
RULES = ("independent", "half-space", "farthest", "one-cluster")


def numpy_trials(experiment, trials):
    """Seconds of the trials in NumPy, and the claim's frequency."""
    begin, good = time.perf_counter(), 0
    for k in range(trials):
        seed = np.random.SeedSequence(0, spawn_key=(k,))
        data, net = experiment.sample(seed), experiment.network(seed)
        W = reference.train(data.X, data.y, net.W, net.a, experiment.alpha, 6)
        margin = data.y * reference.forward(data.X, W, net.a)
        good += not (margin[data.clean] <= 0).any() and not (margin[data.noisy] > 0).any()
    return time.perf_counter() - begin, good


def shown(study):
    cells = []
    for name in SHOWN:
        p = study.proportion(name)
        cells.append(f"{p.k}/{p.n} [{p.low:.3f}, {p.high:.3f}] {p.verdict}")
    return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--numpy-trials", type=int, default=200)
    parser.add_argument("--noise", action="store_true", help="the noise rules, 500 trials each")
    options = parser.parse_args()
    if options.noise:
        print("| noise | rate | clean and noisy as Theorem 3.1(1) says |")
        print("|---|---|---|")
        base = THEOREM.replace(eta=0.1)
        for rule in RULES:
            for eta in (0.1, 0.2):
                exp = base.replace(noise=rule, eta=eta)
                p = rfa.study(exp, trials=500, measure="check").proportion("theorem_3_1_1")
                print(f"| {rule} | {eta} | {p.k}/{p.n} [{p.low:.3f}, {p.high:.3f}] |")
        return
    print(f"| experiment | {' | '.join(SHOWN)} | seconds |")
    print("|---" * (len(SHOWN) + 2) + "|")
    width = np.sqrt(THEOREM.m * THEOREM.d)
    cases = {
        f"theorem, omega sqrt(md) = {c} alpha": THEOREM.replace(omega_init=c * 0.05 / width)
        for c in (0.2, 0.4, 1.0)
    }
    cases["assumptions"] = rfa.preset("assumptions")
    for name, exp in cases.items():
        study = rfa.study(exp, trials=options.trials, measure=functools.partial(checks, C0=5.0))
        print(f"| {name} | {' | '.join(shown(study))} | {study.seconds:.1f} |", flush=True)
    seconds, good = numpy_trials(THEOREM, options.numpy_trials)
    per_trial = seconds / options.numpy_trials
    plain = rfa.study(THEOREM, trials=options.trials, measure="final")
    right = sum(r["clean_wrong"] == r["noisy_fitted"] == 0 for r in plain.records)
    print(
        f"\nNumPy, {options.numpy_trials} trials of theorem: {1e3 * per_trial:.2f} ms a trial, "
        f"claim 1 in {good}; rfa, measure='final': {1e3 * plain.seconds / len(plain):.2f} ms, "
        f"claim 1 in {right} of {len(plain)}"
    )


if __name__ == "__main__":
    main()

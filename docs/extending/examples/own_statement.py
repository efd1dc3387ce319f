"""A statement of one's own: the outputs on the training samples stay below 1 until T."""

import rfa


def small_outputs(run, *, delta, C0, rng):
    """The largest abs f(x_i; W_T), in the form that rfa.theory.check wants."""
    T = rfa.theory.horizon(run.alpha)
    if run.t < T:
        return f"needs step {T}, the run has {run.t}"
    f = run.at(T).decision_function(run.data.X, n_threads=1)
    return {
        "value": abs(f).max(),
        "bound": 1.0,
        "relation": "<=",
        "where": {"sample": int(abs(f).argmax())},
    }


mine = rfa.theory.Statement(
    "small_outputs",
    "|f(x_i; W^T)| <= 1",
    small_outputs,
    needs=("A1_A7", "good_run"),
    probability=lambda delta: 1 - 4 * delta,
)

if __name__ == "__main__":
    run = rfa.preset("assumptions").run(rng=0)
    report = rfa.theory.check(run, statements=["theorem_3_1_1", mine])
    for check in report:
        print(f"{check.id}: {check.value:.3f} {check.relation} {check.bound}: {check.verdict}")
    study = rfa.study(rfa.preset("assumptions"), trials=20, measure=[mine])
    found = study.proportion("small_outputs")
    print(f"{found.k} of {found.n}: {found.verdict}")

"""A measure of one's own: the margins of clean and of noisy samples at the end of a run."""

import rfa


def margins(run):
    """The smallest y f of a clean sample, and the largest y f of a noisy one."""
    f = run.network.decision_function(run.data.X, n_threads=1)
    y_f, noisy = run.data.y * f, run.data.noisy
    return {
        "clean_low": float(y_f[~noisy].min()),
        "noisy_high": float(y_f[noisy].max()) if noisy.any() else None,
    }


if __name__ == "__main__":
    experiment = rfa.preset("theorem")
    study = rfa.study(experiment, grid={"eta": [0.05, 0.1]}, trials=3, rng=0, measure=margins)
    for record in study.records:
        low, high = record["clean_low"], record["noisy_high"]
        print(f"eta={record['eta']} trial={record['trial']}: {low:.3f} {high:.3f}")

"""The steps in JAX: the gradient written by hand, inside lax.fori_loop under jit.

Forms are as in with_numpy; a form is compiled when it is first called. The number of steps is an
argument of what is compiled.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

jax.config.update("jax_enable_x64", True)

BLOCK_BYTES = (2**21, 2**22)  # of the pre-activations of a block
RUNS = 50  # of a batch at once


def loss_weights(f, y, scale):
    return scale * y / (1 + jnp.exp(y * f))


def samples_scaled(X, y, W, a, scale):
    H = X @ W.T
    c = loss_weights(jnp.maximum(H, 0) @ a, y, scale)
    return W + a[:, None] * ((H > 0).astype(X.dtype).T @ (X * c[:, None]))


def masks_scaled(X, y, W, a, scale):
    H = X @ W.T
    c = loss_weights(jnp.maximum(H, 0) @ a, y, scale)
    return W + a[:, None] * (jnp.where(H > 0, c[:, None], 0).T @ X)


def neurons_first(X, y, W, a, scale):
    """masks_scaled with H the other way around, so that the second product has no transpose."""
    H = W @ X.T
    c = loss_weights(a @ jnp.maximum(H, 0), y, scale)
    return W + jnp.where(H > 0, a[:, None] * c, 0) @ X


def outer(X, y, W, a, scale):
    """d = 2: sums of products in place of matrix products."""
    x0, x1 = X[:, 0], X[:, 1]
    H = x0[:, None] * W[:, 0] + x1[:, None] * W[:, 1]
    c = loss_weights(jnp.sum(jnp.maximum(H, 0) * a, 1), y, scale)
    active = W[:, :1] * x0 + W[:, 1:] * x1 > 0
    G = [jnp.sum(jnp.where(active, c * x, 0), 1) for x in (x0, x1)]
    return W + a[:, None] * jnp.stack(G, 1)


def blocks(X, y, W, a, scale, block_bytes):
    """Blocks of samples one after the other; what is left over is padded with labels of 0."""
    n, d = X.shape
    size = min(n, max(256, block_bytes // (len(a) * X.dtype.itemsize)))
    count = -(-n // size)
    pad = count * size - n
    Xs = jnp.pad(X, ((0, pad), (0, 0))).reshape(count, size, d)
    ys = jnp.pad(y, (0, pad)).reshape(count, size)

    def add(G, block):
        x, labels = block
        H = x[:, :1] * W[:, 0] + x[:, 1:] * W[:, 1] if d == 2 else x @ W.T
        c = loss_weights(jnp.maximum(H, 0) @ a, labels, scale)
        return G + (H > 0).astype(x.dtype).T @ (x * c[:, None]), None

    G, _ = lax.scan(add, jnp.zeros_like(W), (Xs, ys))
    return W + a[:, None] * G


def many_steps(step):
    @jax.jit
    def run(X, y, W, a, scale, steps):
        return lax.fori_loop(0, steps, lambda _, V: step(X, y, V, a, scale), W)

    return run


def looped(run):
    """A form of a function (X, y, W, a, scale, steps) -> last W."""

    def form(start, _threads):
        X, y, W, a = (jnp.asarray(array) for array in start[:4])
        scale = X.dtype.type(start.alpha / len(X))
        return lambda steps: np.asarray(run(X, y, W, a, scale, steps))

    return form


@jax.jit
def gram(X, y, W, a, scale, steps):
    """The gram engine's algorithm: H is stepped by K = X X^T, W recovered at the end."""
    K = X @ X.T

    def step(_, state):
        H, C = state
        c = loss_weights(jnp.maximum(H, 0) @ a, y, scale)
        cA = jnp.where(H > 0, c[:, None], 0)
        return H + (K @ cA) * a, C + cA

    H = X @ W.T
    _, C = lax.fori_loop(0, steps, step, (H, jnp.zeros_like(H)))
    return W + a[:, None] * (C.T @ X)


@jax.jit
def planar(X, y, W, a, scale, steps):
    """The planar engine's algorithm (d = 2): arcs of the samples by angle, running sums."""
    n, quarter = len(X), jnp.pi / 2
    angle = jnp.arctan2(X[:, 1], X[:, 0])
    order = jnp.argsort(angle)
    around = jnp.concatenate([angle[order], angle[order] + 2 * jnp.pi])
    x, labels = X[order], y[order]

    def step(_, V):
        middle = jnp.arctan2(V[:, 1], V[:, 0])
        middle = jnp.where(middle - quarter < -jnp.pi, middle + 2 * jnp.pi, middle)
        first = jnp.searchsorted(around, middle - quarter, side="right")
        end = jnp.searchsorted(around, middle + quarter, side="left")
        v = a[:, None] * V
        changes = jnp.zeros((2 * n + 1, 2), X.dtype).at[first].add(v).at[end].add(-v)
        S = jnp.cumsum(changes[: 2 * n], axis=0)
        c = loss_weights(jnp.sum((S[:n] + S[n:]) * x, 1), labels, scale)
        once = jnp.cumsum(c[:, None] * x, axis=0)
        sums = jnp.concatenate([jnp.zeros((1, 2), X.dtype), once, once + once[-1]])
        return V + a[:, None] * (sums[end] - sums[first])

    return lax.fori_loop(0, steps, step, W)


def batched(runs):
    """vmap over runs, some at a time."""

    def form(batch, _threads):
        exp, size = batch.experiment, min(runs, batch.trials)
        step = samples_scaled if exp.d < exp.m else masks_scaled
        call = jax.jit(jax.vmap(many_steps(step), in_axes=(0, 0, 0, None, None, None)))
        result = batch.empty(batch.trials)[2]
        a = jnp.asarray(batch.a())
        scale = a.dtype.type(exp.alpha / exp.n)

        def run(steps):
            for i in range(0, batch.trials, size):
                first = min(i, batch.trials - size)
                X, y, W = batch.empty(size)
                batch.draw_all(X, y, W, first)
                result[first : first + size] = call(X, y, W, a, scale, steps)
            return result

        return run

    return form


def one_by_one(batch, threads):
    """Each Python thread draws a trial and runs it."""
    exp = batch.experiment
    call = many_steps(samples_scaled if exp.d < exp.m else masks_scaled)
    result = batch.empty(batch.trials)[2]
    a = jnp.asarray(batch.a())
    scale = a.dtype.type(exp.alpha / exp.n)

    def work(k, steps):
        for trial in range(k, batch.trials, threads):
            # arrays of their own: JAX may go on reading what it was given
            X, y, W = (array[0] for array in batch.empty(1))
            batch.draw(trial, X, y, W)
            result[trial] = call(X, y, W, a, scale, steps)

    def run(steps):
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads), [steps] * threads))
        return result

    return run


def forms(case):
    if case.trials:
        return {
            "vmap, all": batched(case.trials),
            f"vmap, {RUNS} runs at once": batched(RUNS),
            "one by one": one_by_one,
        }
    steps = {
        "samples scaled": samples_scaled,
        "masks scaled": masks_scaled,
        "neurons first": neurons_first,
    }
    for size in BLOCK_BYTES:
        steps[f"blocks of {size} bytes"] = partial(blocks, block_bytes=size)
    if case.experiment.d == 2:
        steps["outer products"] = outer
    return {name: looped(many_steps(step)) for name, step in steps.items()}


def our_forms(case):
    n, d, _ = case.shape
    if case.trials:
        return {}
    return {"planar": looped(planar)} if d == 2 else {"gram": looped(gram)} if n <= 4 * d else {}

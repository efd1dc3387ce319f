"""The steps in NumPy: preallocated arrays, in-place operations, matrix products by its BLAS.

A form takes a start and a number of threads and returns a function of the number of steps, which
gives the last W. What is allocated once is allocated before the time that is measured. The
algorithms of the gram and the planar engine are written for speed here; to be read they are in
rfa/engines/gram/plain.py and planar/plain.py.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

# The pre-activations of a block, in bytes: which is the fastest depends on the shape.
BLOCK_BYTES = (2**19, 2**21)


def loss_weights(f, y, scale, c):
    """c = scale y / (1 + exp(y f)), in place."""
    np.multiply(f, y, out=c)
    np.exp(c, out=c)
    c += 1
    np.divide(y, c, out=c)
    c *= scale


class Room:
    """What a block of at most n samples is worked out in: a thread's, which stays in its cache."""

    def __init__(self, n, d, m, dtype):
        self.H, self.A = np.empty((n, m), dtype), np.empty((n, m), dtype)
        self.active, self.scaled = np.empty((n, m), bool), np.empty((n, d), dtype)


class Block:
    """One block of samples, with views of the room it is given."""

    def __init__(self, X, y, a, scale, scale_samples, room):
        n = len(X)
        self.X, self.y, self.a = X, y, a
        self.scale, self.scale_samples = scale, scale_samples
        self.H, self.A = room.H[:n], room.A[:n]
        self.active, self.scaled = room.active[:n], room.scaled[:n]
        self.f, self.c = np.empty(n, X.dtype), np.empty(n, X.dtype)

    def sums(self, W, out):
        """out_j = sum_i c_i A_ij x_i over the block."""
        # a product with masks made numbers is faster than maximum, and they than sign
        np.matmul(self.X, W.T, out=self.H)
        np.greater(self.H, 0, out=self.active)
        np.copyto(self.A, self.active)
        self.H *= self.A
        np.matmul(self.H, self.a, out=self.f)
        loss_weights(self.f, self.y, self.scale, self.c)
        if self.scale_samples:
            np.multiply(self.X, self.c[:, None], out=self.scaled)
            np.matmul(self.A.T, self.scaled, out=out)
        else:
            self.A *= self.c[:, None]
            np.matmul(self.A.T, self.X, out=out)


def whole(start, threads, scale_samples):
    """All samples at once, the BLAS on all threads."""
    X, y, W_0, a, alpha = start
    room = Room(*X.shape, len(a), X.dtype)
    block = Block(X, y, a, X.dtype.type(alpha / len(X)), scale_samples, room)
    G = np.empty_like(W_0)

    def run(steps):
        W = W_0.copy()
        with threadpool_limits(threads, user_api="blas"), np.errstate(over="ignore"):
            for _ in range(steps):
                block.sums(W, G)
                np.multiply(G, a[:, None], out=G)
                W += G
        return W

    return run


def blocks(start, threads, scale_samples, block_bytes):
    """Blocks of samples in cache, shared out to Python threads, the BLAS on one thread each."""
    X, y, W_0, a, alpha = start
    size = max(64, min(block_bytes // (len(a) * X.itemsize), -(-len(X) // threads)))
    scale = X.dtype.type(alpha / len(X))
    rooms = [Room(size, X.shape[1], len(a), X.dtype) for _ in range(threads)]
    pieces = [
        Block(X[i : i + size], y[i : i + size], a, scale, scale_samples, rooms[k % threads])
        for k, i in enumerate(range(0, len(X), size))
    ]
    parts = np.empty((threads, *W_0.shape), W_0.dtype)
    sums = np.empty_like(parts)

    def work(k, W):
        with np.errstate(over="ignore"):
            parts[k] = 0
            for piece in pieces[k::threads]:
                piece.sums(W, sums[k])
                parts[k] += sums[k]

    def run(steps):
        W = W_0.copy()
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
            for _ in range(steps):
                list(pool.map(work, range(threads), [W] * threads))
                for k in range(1, threads):
                    parts[0] += parts[k]
                np.multiply(parts[0], a[:, None], out=parts[0])
                W += parts[0]
        return W

    return run


def gram(start, threads):
    """The gram engine's algorithm: H is stepped by K = X X^T, W recovered at the end."""
    X, y, W_0, a, alpha = start
    n, m = len(X), len(a)
    K, H, step = (np.empty(shape, X.dtype) for shape in ((n, n), (n, m), (n, m)))
    A, C, active = np.empty_like(H), np.empty_like(H), np.empty((n, m), bool)
    f, c = np.empty(n, X.dtype), np.empty(n, X.dtype)

    def run(steps):
        with threadpool_limits(threads, user_api="blas"), np.errstate(over="ignore"):
            np.matmul(X, X.T, out=K)
            np.matmul(X, W_0.T, out=H)
            C[:] = 0
            for _ in range(steps):
                np.greater(H, 0, out=active)
                np.copyto(A, active)
                np.multiply(H, A, out=step)
                np.matmul(step, a, out=f)
                loss_weights(f, y, X.dtype.type(alpha / n), c)
                np.multiply(A, c[:, None], out=A)
                np.add(C, A, out=C)
                np.matmul(K, A, out=step)
                np.multiply(step, a, out=step)
                np.add(H, step, out=H)
            return W_0 + a[:, None] * (C.T @ X)

    return run


def planar(start, threads):
    """The planar engine's algorithm (d = 2): arcs of the samples by angle, running sums."""
    X, y, W_0, a, alpha = start
    n, scale = len(X), X.dtype.type(alpha / len(X))
    quarter = np.pi / 2

    def run(steps):
        angle = np.arctan2(X[:, 1], X[:, 0])
        order = np.argsort(angle)
        around = np.concatenate([angle[order], angle[order] + 2 * np.pi])
        x, labels, W = X[order].T.copy(), y[order], W_0.T.copy()
        c, sums = np.empty(n, X.dtype), np.zeros((2, 2 * n + 1), X.dtype)
        with np.errstate(over="ignore"):
            for _ in range(steps):
                middle = np.arctan2(W[1], W[0])
                # the arc begins in the first turn
                middle += 2 * np.pi * (middle - quarter < -np.pi)
                first = np.searchsorted(around, middle - quarter, side="right")
                end = np.searchsorted(around, middle + quarter, side="left")
                f = np.zeros(n, X.dtype)
                for k in range(2):
                    v = a * W[k]
                    changes = np.bincount(first, v, 2 * n + 1) - np.bincount(end, v, 2 * n + 1)
                    S = np.cumsum(changes[: 2 * n]).reshape(2, n)
                    f += (S[0] + S[1]) * x[k]
                loss_weights(f, labels, scale, c)
                for k in range(2):
                    p = np.multiply(c, x[k])
                    np.cumsum(p, out=sums[k, 1 : n + 1])
                    np.add(sums[k, 1 : n + 1], sums[k, n], out=sums[k, n + 1 :])
                    W[k] += a * (sums[k, end] - sums[k, first])
        return W.T.copy()

    return run


def one_by_one(batch, threads):
    """Each thread draws a trial and runs it, the BLAS on one thread."""
    exp, a = batch.experiment, batch.a()
    scale = a.dtype.type(exp.alpha / exp.n)
    result = batch.empty(batch.trials)[2]

    def work(k, steps):
        X, y, _ = batch.empty(1)
        room, G = Room(exp.n, exp.d, exp.m, a.dtype), np.empty_like(result[0])
        block = Block(X[0], y[0], a, scale, exp.d < exp.m, room)
        with np.errstate(over="ignore"):
            for trial in range(k, batch.trials, threads):
                W = result[trial]
                batch.draw(trial, X[0], y[0], W)
                for _ in range(steps):
                    block.sums(W, G)
                    np.multiply(G, a[:, None], out=G)
                    W += G

    def run(steps):
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads), [steps] * threads))
        return result

    return run


def forms(case):
    if case.trials:
        return {"one by one": one_by_one}
    found = {}
    for name, scale_samples in (("samples scaled", True), ("masks scaled", False)):
        found[f"whole, {name}"] = partial(whole, scale_samples=scale_samples)
        for size in BLOCK_BYTES:
            found[f"blocks of {size} bytes, {name}"] = partial(
                blocks, scale_samples=scale_samples, block_bytes=size
            )
    return found


def our_forms(case):
    n, d, _ = case.shape
    if case.trials:
        return {}
    return {"planar": planar} if d == 2 else {"gram": gram} if n <= 4 * d else {}

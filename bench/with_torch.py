"""The steps in PyTorch: the gradient written by hand, no autograd; eager and torch.compile.

Forms are as in with_numpy; a compiled form is compiled when it is first called.
"""

import numpy as np
import torch

BLOCK_BYTES = 2**22
# products and sums may be fused
CONTRACTED = {"cpp.enable_floating_point_contract_flag": "fast"}
RUNS = 50  # of a batch at once, so that they stay in cache


def tensors(start):
    return (*(torch.from_numpy(np.array(array)) for array in start[:4]), start.alpha)


def loss_weights(f, y, scale):
    return scale * y * torch.sigmoid(-y * f)


def eager(step):
    """A form of a step that changes W in place: make(X, y, a, scale) -> step(W)."""

    def form(start, threads):
        torch.set_num_threads(threads)
        X, y, W_0, a, alpha = tensors(start)
        step_once = step(X, y, a, alpha / len(X))

        def run(steps):
            W = W_0.clone()
            with torch.inference_mode():
                for _ in range(steps):
                    step_once(W)
            return W.numpy()

        return run

    return form


def samples_scaled(X, y, a, scale):
    """Blocks of samples, the samples scaled by c: one block if they are few."""
    n, m = len(X), len(a)
    size = min(n, max(256, BLOCK_BYTES // (m * X.element_size())))
    H, scaled = torch.empty(size, m, dtype=X.dtype), torch.empty(size, X.shape[1], dtype=X.dtype)
    G, column = torch.empty(m, X.shape[1], dtype=X.dtype), a[:, None]

    def step(W):
        for i in range(0, n, size):
            x, h = X[i : i + size], H[: min(size, n - i)]
            torch.mm(x, W.T, out=h)
            h.relu_()
            c = loss_weights(torch.mv(h, a), y[i : i + size], scale)
            xc = torch.mul(x, c[:, None], out=scaled[: len(h)])
            # of what relu has left, the sign is the mask
            if i == 0:
                torch.mm(h.sign_().T, xc, out=G)
            else:
                G.addmm_(h.sign_().T, xc)
        W.addcmul_(G, column)

    return step


def masks_scaled(X, y, a, scale):
    """All samples at once, the masks scaled by c and a, one matrix product for W."""
    n, m = len(X), len(a)
    H = torch.empty(n, m, dtype=X.dtype)

    def step(W):
        torch.mm(X, W.T, out=H)
        H.relu_()
        c = loss_weights(torch.mv(H, a), y, scale)
        H.sign_().mul_(c[:, None]).mul_(a)
        W.addmm_(H.T, X)

    return step


def where(X, y, a, scale):
    """As masks_scaled, the masks by a comparison."""
    H = torch.empty(len(X), len(a), dtype=X.dtype)
    zero = torch.zeros((), dtype=X.dtype)

    def step(W):
        torch.mm(X, W.T, out=H)
        active = H > 0
        c = loss_weights(torch.mv(H.relu_(), a), y, scale)
        torch.where(active, c[:, None], zero, out=H)
        W.addcmul_(torch.mm(H.T, X), a[:, None])

    return step


def compiled(step, **options):
    """A form of a function W -> next W."""

    def form(start, threads):
        torch.set_num_threads(threads)
        X, y, W_0, a, alpha = tensors(start)
        torch._dynamo.reset()
        step_once = torch.compile(step, dynamic=False, **options)
        scale = alpha / len(X)

        def run(steps):
            W = W_0.clone()
            with torch.inference_mode():
                for _ in range(steps):
                    W = step_once(X, y, W, a, scale)
            return W.numpy()

        return run

    return form


def pure_samples(X, y, W, a, scale):
    H = X @ W.T
    c = loss_weights(torch.relu(H) @ a, y, scale)
    return W + a[:, None] * ((H > 0).to(X.dtype).T @ (X * c[:, None]))


def pure_masks(X, y, W, a, scale):
    H = X @ W.T
    c = loss_weights(torch.relu(H) @ a, y, scale)
    return W + a[:, None] * (torch.where(H > 0, c[:, None], 0.0).T @ X)


def outer_neurons(X, y, W, a, scale):
    """d = 2: sums of products in place of matrix products, fused, nothing of n m stored."""
    x0, x1 = X[:, 0].contiguous(), X[:, 1].contiguous()
    H = W[:, :1] * x0 + W[:, 1:] * x1
    c = loss_weights((torch.relu(H) * a[:, None]).sum(0), y, scale)
    G = torch.stack([torch.where(H > 0, c * x, 0.0).sum(1) for x in (x0, x1)], 1)
    return W + a[:, None] * G


def outer_blocks(X, y, W, a, scale):
    """outer_neurons for a quarter of the samples after the other, which stays in cache."""
    G = torch.zeros_like(W)
    for x, labels in zip(torch.tensor_split(X, 4), torch.tensor_split(y, 4), strict=True):
        x0, x1 = x[:, 0].contiguous(), x[:, 1].contiguous()
        H = W[:, :1] * x0 + W[:, 1:] * x1
        c = loss_weights((torch.relu(H) * a[:, None]).sum(0), labels, scale)
        G = G + torch.stack([torch.where(H > 0, c * part, 0.0).sum(1) for part in (x0, x1)], 1)
    return W + a[:, None] * G


def outer_samples(X, y, W, a, scale):
    """outer_neurons with the samples along the rows for f."""
    x0, x1 = X[:, 0], X[:, 1]
    H = x0[:, None] * W[:, 0] + x1[:, None] * W[:, 1]
    c = loss_weights((torch.relu(H) * a).sum(1), y, scale)
    active = W[:, :1] * x0 + W[:, 1:] * x1 > 0
    G = torch.stack([torch.where(active, c * x, 0.0).sum(1) for x in (x0, x1)], 1)
    return W + a[:, None] * G


def batch_step(X, y, W, a, scale):
    """pure_masks or pure_samples, whichever scales less, for many runs at once."""
    H = torch.bmm(X, W.mT)
    c = loss_weights(torch.relu(H) @ a, y, scale)
    if X.shape[2] < len(a):
        G = torch.bmm((H > 0).to(X.dtype).mT, X * c[:, :, None])
    else:
        G = torch.bmm(torch.where(H > 0, c[:, :, None], 0.0).mT, X)
    return W + a[:, None] * G


def batched(step, runs):
    """Runs side by side, some at a time."""

    def form(batch, threads):
        torch.set_num_threads(threads)
        exp, size = batch.experiment, min(runs, batch.trials)
        result = batch.empty(batch.trials)[2]
        X, y, W = batch.empty(size)
        tX, ty = torch.from_numpy(X), torch.from_numpy(y)
        a = torch.from_numpy(batch.a())
        if step is not batch_step:
            torch._dynamo.reset()

        def run(steps):
            with torch.inference_mode():
                # the last runs may come twice: a size that changes would be compiled once more
                for i in range(0, batch.trials, size):
                    first = min(i, batch.trials - size)
                    batch.draw_all(X, y, W, first)
                    tW = torch.from_numpy(W)
                    for _ in range(steps):
                        tW = step(tX, ty, tW, a, exp.alpha / exp.n)
                    result[first : first + size] = tW.numpy()
            return result

        return run

    return form


def forms(case):
    """Eager."""
    if case.trials:
        return {f"{runs} runs at once": batched(batch_step, runs) for runs in (4, RUNS)}
    return {
        "samples scaled": eager(samples_scaled),
        "masks scaled": eager(masks_scaled),
        "where": eager(where),
    }


def compiled_forms(case):
    if case.trials:
        step = torch.compile(batch_step, dynamic=False)
        return {f"{runs} runs at once": batched(step, runs) for runs in (4, RUNS)}
    if case.experiment.d == 2:
        return {
            "outer products, neurons in rows": compiled(outer_neurons),
            "outer products, blocks": compiled(outer_blocks),
            "outer products, blocks, contracted": compiled(outer_blocks, options=CONTRACTED),
            "outer products, samples in rows": compiled(outer_samples),
            "masks scaled": compiled(pure_masks),
        }
    return {
        "samples scaled": compiled(pure_samples),
        "masks scaled": compiled(pure_masks),
        "samples scaled, max-autotune": compiled(pure_samples, mode="max-autotune-no-cudagraphs"),
    }

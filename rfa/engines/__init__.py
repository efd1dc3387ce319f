"""How a step of gradient descent is computed.

Every engine has the same interface, and each takes the step of :mod:`rfa.reference` to rounding::

    engine = Engine(problem, W, a, n_threads)   # sorts, packs and allocates once
    engine.t                                    # steps taken
    engine.advance(until, at, out, row)         # many steps in one call -> rows of out written
    engine.diverged                             # the last advance stopped at a number out of range
    engine.weights()                            # (W, a), in the caller's order and type
    engine.get_state(), engine.set_state(s)     # bit-exact

``advance`` steps to t = ``until`` and fills the rows ``row``, ``row + 1``, ... of ``out`` at the
steps in ``at`` (ascending, those still to be recorded). It returns early when f, the next W (in
gram the next <w_j, x_i>, with weight decay over a power of ``shrink``) or, in direct, a <w_j, x_i>
is not finite; a signal handled by Python (Ctrl-C) is raised from it. Either way a step is taken
whole or not at all, no row is half filled (``engine.rows`` tells how many are), and going on gives
the bits of an undisturbed run.

- ``direct``: any shape. Activations are bits, evaluated where they can have changed; outputs and
  gradient add up rows of W and X by table look-up. O(n m d) a step, but for most pairs of a sample
  and a neuron only a few additions.
- ``gram``: n up to several d. The pre-activations of all samples are stepped by the Gram matrix,
  by the same look-ups; W is recovered when asked for. O(n^2 m) a step, n^2 + 4 n m reals beside
  copies of X and W; test points take n + 2 m each, and O(n m) when they are observed.
- ``planar``: d = 2. Samples are sorted by angle, a neuron is active on one arc of them. O(n + m) a
  step, and the samples that ends of arcs pass; in float64 whatever the type of W. Observing takes
  4 bytes a sample and group.
- ``reference``: the oracle in NumPy, slow.

After a step that was not taken because its numbers are not finite, t and W are those of the step
before; where gram would go on from, h, is then lost, and to advance again finds the same.
"""

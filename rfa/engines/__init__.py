"""How the steps of gradient descent are computed: the engines, and what each has to do.

Every engine takes the steps of :func:`rfa.reference.train`, up to rounding, and has the same
interface (``interface.py``, which also has the contract of each member)::

    Engine.refuses(problem)                     # why it cannot take the problem; empty if it can
    engine = Engine(problem, W, a, n_threads)   # sorts, packs and allocates once
    engine.advance(until, at, out, row)         # takes many steps in one call, fills rows of out
    engine.t, engine.rows, engine.diverged      # how far it is, and why it stopped
    engine.weights()                            # (W, a), in the caller's order and type
    engine.get_state(), engine.set_state(s)     # to go on from the same bits

Four engines are built in:

- ``direct`` takes any shape. A step costs O(n m d): activations are kept as bits, and only those
  that can have changed are evaluated; outputs and gradient are sums of rows of W and of X that are
  looked up in tables, so that most pairs of a sample and a neuron cost a few additions.
- ``gram`` is for n up to several d. A step costs O(n^2 m): the pre-activations of all samples are
  stepped by the Gram matrix X X^T, by the same look-ups, and W is put together when it is asked
  for. It keeps n^2 + 4 n m reals beside copies of X and W, and n + 2 m for each test point.
  Observing a test point costs O(n m). It refuses data whose inner products overflow or underflow.
- ``planar`` is for d = 2 and refuses any other. A step costs O(n + m), and more where ends of arcs
  pass samples: the samples are sorted by angle, and each neuron is active on one arc of them. It
  computes in float64 whatever the type of W. Observing takes 4 bytes for each sample and group.
- ``reference`` is the oracle in NumPy behind the same interface. It is slow.

The folder of each compiled engine has ``engine.py``, the class; ``loop.pyx``, its loop over steps;
and ``plain.py``, the same algorithm in some thirty lines of NumPy. Read that first.

``registry.py`` has the engines by name, and to add one is to add its folder and a row there.
``engine="auto"`` asks ``choice.by_cost`` for the names that suit the sizes, the cheapest first, and
takes the first engine that does not refuse the problem. The registry also keeps the engine of a
thread's last run, up to 64 MiB: if its arrays fit the next run, it is loaded anew instead of being
made anew (``interface.Reusable``; gram is such an engine).

What an engine observes is the table ``OBSERVED`` in ``observations.py``, and what it minimises is a
``Problem``.
"""

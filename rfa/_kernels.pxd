# What other Cython code may cimport: the public kernels, which write into arrays of the caller
# (the `_out` functions), and the pieces on packed layouts of which the engines are made.
from cython cimport floating
from libc.stdint cimport int64_t, uint64_t

from rfa.kernels.plans cimport plan_t
from rfa.kernels.tasks cimport queues_t

cdef enum:
    # multiply-adds or look-ups between two looks at the clock, where a word of a neuron counts as
    # 16 look-ups with its part of the tables: tenths of a second on a slow core. Threads wait for
    # one another before each look, which costs a time slice on a busy machine.
    TASK_WORK = 1 << 28

# The public kernels, on arrays of any strides; each allocates its packed copies of X and W.
cdef int activation_masks_out(const floating[:, :] X, const floating[:, :] W,
                              uint64_t[:, ::1] masks, int n_threads) except -1 nogil
cdef int forward_out(const floating[:, :] X, const floating[:, :] W, const floating[:] a,
                     floating[::1] f, int n_threads) except -1 nogil
cdef int gradient_out(const floating[:, :] X, const double[:] y, const floating[:, :] W,
                      const floating[:] a, floating[:, ::1] gradient, int n_threads
                      ) except -1 nogil
cdef int active_counts_out(const uint64_t[:, ::1] masks, const int64_t[:] groups,
                           int64_t[:, ::1] counts) except -1 nogil

# The pieces, on packed layouts (kernels/README.md). Reals that are `void` in a struct have the type
# of `scratch`.

# Where evaluate takes h from: H if it is ready, else H = X W^T, which is then never stored.
ctypedef struct preactivations_t:
    Py_ssize_t words         # of samples
    Py_ssize_t neurons       # a multiple of TILE
    bint ready
    const void* H            # [chunk][neuron][sample]
    const void* lanes        # X [lane][k][sample]
    Py_ssize_t d
    const void* W            # [neuron][k]
    Py_ssize_t stride        # from a neuron of W to the next

# What is made of h.
ctypedef struct activation_t:
    const void* a            # [neuron]
    double slope
    uint64_t* masks          # [word][neuron]; evaluate: NULL if they are not asked for
    void* partial            # [block][sample]: the shares of f

# The extremes of h, for each neuron and group.
ctypedef struct ranges_t:
    const int64_t* segments  # (word, group, bits) of each, ordered by word: see mask_segments
    Py_ssize_t n_segments
    Py_ssize_t groups
    double* extremes         # [thread][neuron][group][2], which evaluate widens

# What a masked sum adds up: sum_i (A_ij + common) c_i rows_i.
ctypedef struct summands_t:
    const void* rows         # [chunk][sample][column], whole words of samples
    const void* c            # [sample]
    Py_ssize_t chunks
    double common

# What is made of the sums: out_j = shrink base_j + scale_j sum_j. base may be out.
ctypedef struct update_t:
    double shrink
    const void* base         # with the strides of out
    const void* scale        # [neuron]
    void* out
    Py_ssize_t stride        # from a neuron of out to the next
    Py_ssize_t chunk_stride  # from a chunk of columns to the next

cdef int evaluate(const preactivations_t* h, const activation_t* out, const ranges_t* ranges,
                  floating* scratch, int n_threads, double* last) except -1 nogil
cdef void add_partial(const floating* partial, Py_ssize_t words, Py_ssize_t neurons,
                      floating* f) noexcept nogil
cdef int multiply(const floating* lanes, Py_ssize_t n, Py_ssize_t d, const floating* W,
                  Py_ssize_t stride, Py_ssize_t neurons, floating* H, int n_threads, double* last
                  ) except -1 nogil
cdef void multiply_word(const floating* lanes, Py_ssize_t n, Py_ssize_t d, const floating* W,
                        Py_ssize_t stride, Py_ssize_t neurons, floating* H,
                        Py_ssize_t chunk_stride) noexcept nogil
cdef void multiply_panel(const floating* lanes, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k,
                         const floating* W, Py_ssize_t stride, Py_ssize_t neurons, floating* H,
                         Py_ssize_t chunk_stride) noexcept nogil
cdef Py_ssize_t panel_depth(const floating* real) noexcept nogil
cdef int masked_sum(const plan_t* plan, const summands_t* summands, const update_t* update,
                    floating* scratch, int n_threads, double* last) except -1 nogil
cdef int masked_sum_and_activate(const plan_t* plan, const summands_t* summands,
                                 const update_t* update, const activation_t* activation,
                                 floating* scratch, int n_threads, double* last
                                 ) except -1 nogil
cdef int masked_outputs(const plan_t* plan, const summands_t* weights, const floating* rows,
                        floating* f, floating* scratch, int n_threads, double* last
                        ) except -1 nogil
cdef Py_ssize_t partial_size(Py_ssize_t words, Py_ssize_t neurons) noexcept nogil
cdef Py_ssize_t evaluate_scratch() noexcept nogil
cdef Py_ssize_t sum_scratch(const floating* real) noexcept nogil
cdef queues_t queues_in(floating* scratch, int n_threads) noexcept nogil

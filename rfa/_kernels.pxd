# What other Cython code may cimport: the public kernels, which write into arrays of the caller
# (the `_out` functions), and the pieces on packed layouts of which the engines are made.
from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef enum:
    # multiply-adds or look-ups (16 a word, the tables among them) between two looks at the clock:
    # tenths of a second on a slow core, and few meetings of the threads, each of which costs a time
    # slice on a busy machine
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

# The pieces. Packed layouts: lanes [lane of 16 samples][k][16], whole words of them; rows
# [chunk][sample][columns] and H [chunk][neuron][samples], a chunk being as many as a cache line
# has; W [neuron][columns, padded]; masks [word][neuron], word w holding samples 64 w to 64 w + 63.
cdef int pack_lanes(const floating[:, :] X, const int64_t* order, floating* lanes, int n_threads,
                    double* last) except -1 nogil
cdef int pack_rows(const floating[:, :] X, const int64_t* order, floating* rows, int n_threads,
                   double* last) except -1 nogil
cdef int evaluate(const floating* lanes, Py_ssize_t words, Py_ssize_t d, const floating* W,
                  Py_ssize_t stride, const floating* H, const floating* a, Py_ssize_t neurons,
                  double slope, uint64_t* masks, floating* partial, floating* scratch,
                  const int64_t* segments, Py_ssize_t n_segments, Py_ssize_t groups,
                  double* ranges, floating* f, int n_threads, double* last) except -1 nogil
cdef void add_partial(const floating* partial, Py_ssize_t words, Py_ssize_t neurons,
                      floating* f) noexcept nogil
cdef int multiply(const floating* lanes, Py_ssize_t n, Py_ssize_t d, const floating* W,
                  Py_ssize_t stride, Py_ssize_t neurons, floating* H, int n_threads, double* last
                  ) except -1 nogil
cdef void multiply_word(const floating* lanes, Py_ssize_t n, Py_ssize_t d, const floating* W,
                        Py_ssize_t stride, Py_ssize_t neurons, floating* H, Py_ssize_t block
                        ) noexcept nogil
cdef void multiply_panel(const floating* lanes, Py_ssize_t n, Py_ssize_t d, Py_ssize_t k,
                         const floating* W, Py_ssize_t stride, Py_ssize_t neurons, floating* H,
                         Py_ssize_t block) noexcept nogil
cdef Py_ssize_t panel_depth(const floating* real) noexcept nogil
cdef int masked_sum(const uint64_t* masks, Py_ssize_t n, Py_ssize_t neurons,
                    const uint8_t* plan, const int32_t* counts, const floating* c,
                    double common, const floating* rows, Py_ssize_t chunks, const floating* base,
                    double shrink, const floating* scale, Py_ssize_t stride, Py_ssize_t block,
                    floating* out, double slope, uint64_t* signs, floating* partial,
                    floating* scratch, int n_threads, double* last) except -1 nogil
cdef int masked_outputs(const uint64_t* masks, Py_ssize_t m, Py_ssize_t samples, int shortcuts,
                        uint8_t* plan, int32_t* counts, const floating* a, const floating* W,
                        const floating* rows, Py_ssize_t chunks, floating* f, floating* scratch,
                        int n_threads, double* last) except -1 nogil
cdef Py_ssize_t partial_size(Py_ssize_t words, Py_ssize_t neurons) noexcept nogil
cdef Py_ssize_t evaluate_scratch() noexcept nogil
cdef void share_tasks(Py_ssize_t first, Py_ssize_t stop, floating* scratch, Py_ssize_t apart,
                      int n_threads) noexcept nogil
cdef Py_ssize_t next_task(floating* scratch, Py_ssize_t apart, int thread, int n_threads
                          ) noexcept nogil
cdef Py_ssize_t sum_scratch(const floating* real) noexcept nogil

# What other Cython code may cimport: the public kernels, which write into arrays of the caller
# (the `_out` functions), and the pieces on packed layouts of which the engines are made.
from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    # multiply-adds or look-ups (16 a word, the tables among them) between two looks at the clock:
    # tenths of a second on a slow core, and few meetings of the threads, each of which costs a time
    # slice on a busy machine
    TASK_WORK = 1 << 28

cdef extern from "_leaves.h" nogil:
    enum:
        WORD "RFA_WORD"     # samples to a mask word and to a block of a packed layout
        TILE "RFA_TILE"     # neurons to a tile of the matrix multiply; padded counts are multiples
        BATCH "RFA_BATCH"   # samples whose subset sums are tabulated at once
        TABLES "RFA_TABLES"  # entries of the tables
        WHOLE_TABLES "RFA_WHOLE"   # kinds of tables: with all entries; of half a batch
        HALF_BATCH "RFA_SHORT"
        ENTRY "RFA_ENTRY"   # bytes of an entry
        LANE "RFA_LANE"     # samples packed, and whose signs are evaluated, together
        LANES "RFA_LANES"   # segments of a planar ring that are scanned side by side
        PER_WORD "(RFA_WORD / RFA_LANE)"   # lanes of a word of samples
    double rfa_seconds()
    ctypedef struct rfa_leaves_f32:
        void (*matmul_tile)(const float*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, int,
                            float*, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*activate_tile)(const float*, Py_ssize_t, const float*, float, uint64_t*,
                              float*) noexcept nogil
        void (*subset_sums)(const float*, const float*, int, float*) noexcept nogil
        void (*look_up)(const float*, const uint64_t*, int, const uint8_t*, Py_ssize_t, int, int,
                        float*) noexcept nogil
        void (*add_row)(const float*, const uint8_t*, Py_ssize_t, float*) noexcept nogil
        void (*join)(const float*, const float*, const uint8_t*, Py_ssize_t,
                     float*) noexcept nogil
        void (*gather)(const float*, const float*, const uint16_t*, Py_ssize_t, Py_ssize_t,
                       float*) noexcept nogil
        float (*finish)(
            const float*, float, float, const float*, const float*, const float*,
            const uint16_t*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t, float*, float,
            uint64_t*, Py_ssize_t, float*) noexcept nogil
        void (*add_products)(const float*, Py_ssize_t, const float*, const float*,
                             const uint16_t*, Py_ssize_t, Py_ssize_t, float*) noexcept nogil
        void (*fold)(const float*, Py_ssize_t, float*) noexcept nogil
        float (*lane_signs)(
            const float*, const float*, Py_ssize_t, Py_ssize_t, const Py_ssize_t*, Py_ssize_t,
            uint16_t*, float*, float*) noexcept nogil
        void (*accumulate)(const uint64_t*, Py_ssize_t, const float*, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t, float*, Py_ssize_t) noexcept nogil
        void (*products)(const float*, Py_ssize_t, const float*, Py_ssize_t, const float*,
                         const float*, Py_ssize_t, double*) noexcept nogil
        void (*dots)(const float*, const float*, const double*, Py_ssize_t, Py_ssize_t,
                     double*) noexcept nogil
        void (*combine)(const float*, const float*, Py_ssize_t, const float*, const float*,
                        Py_ssize_t, double, Py_ssize_t, Py_ssize_t, float*,
                        Py_ssize_t) noexcept nogil
    ctypedef struct rfa_leaves_f64:
        void (*matmul_tile)(const double*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, int,
                            double*, Py_ssize_t, Py_ssize_t) noexcept nogil
        void (*activate_tile)(const double*, Py_ssize_t, const double*, double, uint64_t*,
                              double*) noexcept nogil
        void (*subset_sums)(const double*, const double*, int, double*) noexcept nogil
        void (*look_up)(const double*, const uint64_t*, int, const uint8_t*, Py_ssize_t, int, int,
                        double*) noexcept nogil
        void (*add_row)(const double*, const uint8_t*, Py_ssize_t, double*) noexcept nogil
        void (*join)(const double*, const double*, const uint8_t*, Py_ssize_t,
                     double*) noexcept nogil
        void (*gather)(const double*, const double*, const uint16_t*, Py_ssize_t, Py_ssize_t,
                       double*) noexcept nogil
        double (*finish)(
            const double*, double, double, const double*, const double*, const double*,
            const uint16_t*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t, double*, double,
            uint64_t*, Py_ssize_t, double*) noexcept nogil
        void (*add_products)(const double*, Py_ssize_t, const double*, const double*,
                             const uint16_t*, Py_ssize_t, Py_ssize_t, double*) noexcept nogil
        void (*fold)(const double*, Py_ssize_t, double*) noexcept nogil
        double (*lane_signs)(
            const double*, const double*, Py_ssize_t, Py_ssize_t, const Py_ssize_t*, Py_ssize_t,
            uint16_t*, double*, double*) noexcept nogil
        void (*accumulate)(const uint64_t*, Py_ssize_t, const double*, Py_ssize_t, Py_ssize_t,
                           Py_ssize_t, double*, Py_ssize_t) noexcept nogil
        void (*products)(const double*, Py_ssize_t, const double*, Py_ssize_t, const double*,
                         const double*, Py_ssize_t, double*) noexcept nogil
        void (*dots)(const double*, const double*, const double*, Py_ssize_t, Py_ssize_t,
                     double*) noexcept nogil
        void (*combine)(const double*, const double*, Py_ssize_t, const double*, const double*,
                        Py_ssize_t, double, Py_ssize_t, Py_ssize_t, double*,
                        Py_ssize_t) noexcept nogil
    ctypedef void rfa_margins(const double*, Py_ssize_t, double*) noexcept nogil
    ctypedef struct rfa_leaves:
        rfa_margins* loss_weights[4]
        rfa_margins* losses[4]
        void (*count)(const uint64_t*, uint64_t, Py_ssize_t, Py_ssize_t, int32_t*) noexcept nogil
        void (*transpose)(const uint64_t*, uint64_t*) noexcept nogil
        void (*certify)(const float*, const float*, const double*, const double*, Py_ssize_t,
                        Py_ssize_t, double*, double*, uint64_t*) noexcept nogil
        void (*list_words)(const uint64_t*, int, Py_ssize_t, uint8_t*, uint32_t*, uint8_t*,
                           int32_t*) noexcept nogil
        int32_t (*number_pairs)(const uint8_t*, const uint8_t*, int, int, Py_ssize_t, uint8_t*,
                                uint8_t*) noexcept nogil
        int64_t (*differences)(const uint64_t*, const uint64_t*, Py_ssize_t) noexcept nogil
        void (*ring_outputs)(Py_ssize_t, const double*, const double*, double*, double*,
                             const double*, double*) noexcept nogil
        double (*ring_step)(
            Py_ssize_t, const double*, const double*, double*, double*, const double*, double*,
            const double*, const double*, double, rfa_margins*, double*, double*,
            double*) noexcept nogil
        uint64_t (*positive_on_points)(const double*, Py_ssize_t, const double*, const double*,
                                       Py_ssize_t) noexcept nogil
        void (*planar_range)(const double*, const double*, Py_ssize_t, double, double, double*,
                             double*) noexcept nogil
    const rfa_leaves_f32* rfa_f32(int level)
    const rfa_leaves_f64* rfa_f64(int level)
    const rfa_leaves* rfa_common(int level)

# The level in use: 0 baseline, 1 AVX2, 2 AVX-512. Set once, at import.
cdef int level() noexcept nogil
cdef Py_ssize_t columns(const floating* real) noexcept nogil

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
cdef int check_signals(double* last) except -1 nogil
cdef void* allocate(Py_ssize_t size, Py_ssize_t count, Py_ssize_t each) except NULL nogil
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

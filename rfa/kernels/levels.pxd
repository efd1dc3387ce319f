from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "leaves.h" nogil:
    enum:
        WORD "RFA_WORD"      # samples of a mask word
        TILE "RFA_TILE"      # neurons of a tile; padded numbers of neurons are multiples
        SPAN "RFA_SPAN"      # samples whose subset sums are tabulated at once
        TABLES "RFA_TABLES"  # entries of the tables of a span
        WHOLE_TABLES "RFA_WHOLE"   # kinds of tables: with all entries; of half a span
        HALF_SPAN "RFA_HALF"
        ENTRY "RFA_ENTRY"    # bytes of an entry: a cache line
        LANE "RFA_LANE"      # samples packed, and whose signs are evaluated, together
        STRANDS "RFA_STRANDS"  # strands of a planar ring, which are scanned side by side
        PER_WORD "(RFA_WORD / RFA_LANE)"   # lanes of a word of samples
        LOSS_COUNT "RFA_LOSS_COUNT"
    # structs of the leaves, see leaves.h; void: reals of the type of the computation
    ctypedef struct rfa_parts:
        const void* sums
        const void* store
        const uint16_t* index
        Py_ssize_t terms
    ctypedef struct rfa_update:
        double keep, decay
        const void* base
        const void* scale
        const void* common
        void* out
        Py_ssize_t stride, neurons
    ctypedef struct rfa_activation:
        double slope
        uint64_t* masks
        Py_ssize_t sample
        void* f
    int rfa_supported_level()
    const char* rfa_loss_name(int number)
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
        void (*gather)(const rfa_parts*, Py_ssize_t, float*) noexcept nogil
        int (*finish)(const rfa_parts*, const rfa_update*) noexcept nogil
        int (*finish_and_activate)(const rfa_parts*, const rfa_update*,
                                   const rfa_activation*) noexcept nogil
        void (*add_products)(const float*, Py_ssize_t, const rfa_parts*, Py_ssize_t,
                             float*) noexcept nogil
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
        void (*gather)(const rfa_parts*, Py_ssize_t, double*) noexcept nogil
        int (*finish)(const rfa_parts*, const rfa_update*) noexcept nogil
        int (*finish_and_activate)(const rfa_parts*, const rfa_update*,
                                   const rfa_activation*) noexcept nogil
        void (*add_products)(const double*, Py_ssize_t, const rfa_parts*, Py_ssize_t,
                             double*) noexcept nogil
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
        rfa_margins* loss_weights[LOSS_COUNT]
        rfa_margins* losses[LOSS_COUNT]
        void (*count)(const uint64_t*, uint64_t, Py_ssize_t, Py_ssize_t, int32_t*) noexcept nogil
        void (*transpose)(const uint64_t*, uint64_t*) noexcept nogil
        void (*certify)(const float*, const float*, const double*, const double*, Py_ssize_t,
                        Py_ssize_t, double*, double*, uint64_t*) noexcept nogil
        void (*list_patterns)(const uint64_t*, int, Py_ssize_t, uint8_t*, uint32_t*, uint8_t*,
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

cdef enum:
    # neurons whose share of f is summed by itself, and whose sums stay in the cache beside the
    # tables: a fixed number, since it decides the bits; whole tiles, at most 255
    BLOCK = 252

# The level in use: 0 baseline, 1 AVX2, 2 AVX-512. Set once, at import.
cdef int level() noexcept nogil


cdef inline Py_ssize_t columns(const floating* real) noexcept nogil:
    """Columns of a chunk, for reals of this type."""
    return ENTRY // sizeof(floating)


cdef inline Py_ssize_t words_of(Py_ssize_t samples) noexcept nogil:
    """Words that samples fill."""
    return (samples + WORD - 1) // WORD


cdef inline Py_ssize_t blocks_of(Py_ssize_t neurons) noexcept nogil:
    """Blocks that neurons fill."""
    return (neurons + BLOCK - 1) // BLOCK

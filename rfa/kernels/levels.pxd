from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "leaves.h" nogil:
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
        LOSS_COUNT "RFA_LOSS_COUNT"
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
        rfa_margins* loss_weights[LOSS_COUNT]
        rfa_margins* losses[LOSS_COUNT]
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

cdef enum:
    # neurons in a partial sum of f, and whose sums stay in cache beside the tables: fixed, since it
    # decides the bits; whole tiles, at most 255
    BLOCK = 252

# The level in use: 0 baseline, 1 AVX2, 2 AVX-512. Set once, at import.
cdef int level() noexcept nogil
cdef Py_ssize_t columns(const floating* real) noexcept nogil

"""What a leaky slope and weight decay add to the engines of masks, outside of their loops.

max(h, s h) = s h + (1 - s) relu(h): the network is 1 - s times that of the ReLU plus the linear
function s <v, x>, v = sum_j a_j w_j, and 1 - s times a neuron's masked sum is to be added to what
all neurons have in common, s sum_i c_i x_i. The products and sums over samples are those of the
kernels, for a single vector.
"""
from cython.parallel cimport prange
from libc.string cimport memset

from rfa._kernels cimport TILE, WORD, columns, masked_sum, multiply, plan_sums


cdef void sum_neurons(const floating* W, Py_ssize_t stride, Py_ssize_t neurons, const floating* a,
                      floating* v, int n_threads) noexcept nogil:
    """v = sum_j a_j w_j, over j in order. O(m d)."""
    cdef Py_ssize_t task, j, k, end
    memset(v, 0, stride * sizeof(floating))
    for task in prange((stride + WORD - 1) // WORD, num_threads=n_threads, schedule="static"):
        end = min((task + 1) * WORD, stride)
        for j in range(neurons):
            for k in range(task * WORD, end):
                v[k] += a[j] * W[j * stride + k]


cdef int add_linear(const floating* points, Py_ssize_t words, Py_ssize_t depth,
                    const floating* tile, Py_ssize_t stride, double slope, floating* product,
                    floating* f, int n_threads, double* last) except -1 nogil:
    """f = (1 - slope) f + slope <v, p> for points [word][depth][64], v the first row of a tile
    whose others are zero; product [word][TILE][64]. O(n depth)."""
    cdef Py_ssize_t w, i
    multiply(points, words, depth, tile, stride, TILE, product, n_threads, last)
    for w in range(words):
        for i in range(WORD):
            f[w * WORD + i] = <floating>((1 - slope) * f[w * WORD + i]
                                         + slope * product[w * TILE * WORD + i])
    return 0


cdef void rescale(floating* f, Py_ssize_t n, double factor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        f[i] = <floating>(factor * f[i])


cdef int start_step(const floating* base, Py_ssize_t neurons, Py_ssize_t stride, Py_ssize_t block,
                    const floating* a, double slope, double shrink, const floating* c,
                    Py_ssize_t words, const uint64_t* ones, uint8_t* plan, int32_t* counts,
                    const floating* rows, Py_ssize_t chunks, floating* c_linear, floating* sums,
                    floating* scratch, floating* out, int n_threads, double* last
                    ) except -1 nogil:
    """out_j = shrink base_j + a_j sum_i c_linear_i rows_i, to which masked_sum adds the rest.

    c has the factor 1 - slope, c_linear gets slope. base, out and rows are as in masked_sum, whose
    plan and counts are used for a neuron that is active on all samples (ones). O(n d + m d).
    """
    cdef Py_ssize_t width = columns(rows), i, j, q, place
    cdef floating one = 1
    memset(sums, 0, chunks * width * sizeof(floating))
    if slope > 0:
        for i in range(words * WORD):
            c_linear[i] = <floating>(slope / (1 - slope) * c[i])
        plan_sums(ones, words, 1, 1, plan, counts, 1)
        masked_sum(ones, words, 1, plan, counts, c_linear, rows, NULL, chunks, sums, &one, 0, WORD,
                   sums, scratch, n_threads, last)
    for j in prange(neurons, num_threads=n_threads, schedule="static"):
        for q in range(chunks):
            place = q * width // WORD * block + q * width % WORD + j * stride
            for i in range(width):
                out[place + i] = <floating>(shrink * base[place + i]) + a[j] * sums[q * width + i]
    return 0

"""The linear part of a leaky network's outputs, for the engines that keep masks.

max(h, s h) = s h + (1 - s) relu(h): the network is 1 - s times that of the ReLU plus the linear
function s <v, x>, v = sum_j a_j w_j. In the gradient c gets the factor 1 - s, and masked_sum adds
s / (1 - s) times the sum over all samples to each neuron's.
"""
from cython.parallel cimport prange
from libc.string cimport memset

from rfa._kernels cimport TILE, WORD, multiply


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

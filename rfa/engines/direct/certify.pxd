"""The direct engine: any shape; certified signs, sums by table look-up."""
from cython cimport floating
from libc.stdint cimport int64_t, uint16_t, uint64_t

# Samples, the arrays of a Signs object (signs.py) and how far they are up to date. Reals that are
# `void` have the type of W.
ctypedef struct signs_t:
    Py_ssize_t d
    Py_ssize_t words         # of samples
    Py_ssize_t n_lanes
    Py_ssize_t m
    Py_ssize_t neurons       # of a word of masks
    Py_ssize_t stride        # from a neuron of W to the next
    Py_ssize_t neuron_words  # words of neurons
    const void* lanes        # X [lane][k][sample]
    bint certified           # whether low, high, path and factors are there and may be used
    bint current             # whether all below belongs to the masks of the step before
    bint ordered             # whether transposed has the neurons in their present order
    int64_t evaluated        # lanes of neurons that have been evaluated, in all steps
    double reach             # inner products of shorter weights cannot overflow
    uint64_t* transposed     # [word of neurons][sample]; the p-th neuron is order[p]
    Py_ssize_t* order
    Py_ssize_t* place        # order[place[j]] = j
    Py_ssize_t k             # rows of Q
    const double* Q          # [k][stride]
    float* low               # [lane][neuron]
    float* high
    double* path             # [2 k + 2][neuron]: u, U, V, E
    double* factors          # [lane][2 k + 2]: c, r, v, b
    # to work in: k + 1 inner products of each neuron, and in each thread, for each neuron, two
    # numbers of certify, a bit, its number in a list, the signs of a lane, and two reals
    double* found
    double* doubles
    uint64_t* open
    Py_ssize_t* list
    uint16_t* bits
    void* reals

cdef int find_signs(signs_t* signs, const floating* W, const uint64_t* previous, uint64_t* masks,
                    floating* scratch, int n_threads, double* last) except -1 nogil
cdef void begin_paths(signs_t* signs, const floating* W, int n_threads) noexcept nogil
cdef void extend_paths(signs_t* signs, const floating* W, const floating* before, int n_threads
                       ) noexcept nogil
cdef void order_neurons(signs_t* signs, const floating* a) noexcept nogil
cdef Py_ssize_t wrong_transposes(const signs_t* signs, const uint64_t* masks) noexcept nogil
cdef int bind(signs_t* signs, arrays) except -1

from cython cimport floating
from libc.stdint cimport int64_t, uint16_t, uint64_t

# The arrays of a Signs object (signs.py), for code without the GIL.
ctypedef struct signs_t:
    bint certified        # what the bounds need is there
    double reach          # inner products of shorter weights cannot overflow
    int64_t* valid        # whether all this is of the masks of the step before, and of their order
    uint64_t* transposed  # [word of neurons][sample], neuron order[p] at place p
    Py_ssize_t* order
    Py_ssize_t* place
    Py_ssize_t words      # of neurons
    Py_ssize_t n_lanes
    Py_ssize_t k          # rows of Q
    float* low            # [lane][neuron]
    float* high
    double* path          # [2 k + 2][neuron]: u, U, V, E
    double* factors       # [lane][2 k + 2]: c, r, v, b
    # to work in, [thread][neuron]: two numbers of certify; bits of neurons; a list of neurons,
    # their signs, and two real numbers of each
    double* doubles
    uint64_t* open
    Py_ssize_t* list
    uint16_t* bits
    void* reals

cdef int find_signs(const floating[:, :, ::1] lanes, const floating[:, ::1] W, Py_ssize_t m,
                    signs_t* signs, const uint64_t* previous, uint64_t* masks,
                    Py_ssize_t neurons, int64_t[::1] tally, floating* scratch, int n_threads,
                    double* last) except -1 nogil
cdef void measure_path(const floating* W, const floating* before, Py_ssize_t stride, Py_ssize_t m,
                       const double* Q, double reach, Py_ssize_t k, Py_ssize_t neurons,
                       double* path, double* found, int n_threads) noexcept nogil
cdef void order_neurons(signs_t* signs, const floating* a, Py_ssize_t m) noexcept nogil
cdef Py_ssize_t wrong_transposes(const signs_t* signs, const uint64_t* masks, Py_ssize_t words,
                                 Py_ssize_t neurons) noexcept nogil
cdef int bind(signs_t* signs, arrays) except -1

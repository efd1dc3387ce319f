from cython cimport floating
from libc.stdint cimport int32_t, uint8_t, uint64_t

cdef void sum_neurons(const floating* W, Py_ssize_t stride, Py_ssize_t neurons, const floating* a,
                      floating* v, int n_threads) noexcept nogil
cdef int add_linear(const floating* points, Py_ssize_t words, Py_ssize_t depth,
                    const floating* tile, Py_ssize_t stride, double slope, floating* product,
                    floating* f, int n_threads, double* last) except -1 nogil
cdef void rescale(floating* f, Py_ssize_t n, double factor) noexcept nogil
cdef int start_step(const floating* base, Py_ssize_t neurons, Py_ssize_t stride, Py_ssize_t block,
                    const floating* a, double slope, double shrink, const floating* c,
                    Py_ssize_t words, const uint64_t* ones, uint8_t* plan, int32_t* counts,
                    const floating* rows, Py_ssize_t chunks, floating* c_linear, floating* sums,
                    floating* scratch, floating* out, int n_threads, double* last
                    ) except -1 nogil

from cython cimport floating


cdef void sum_neurons(const floating* W, Py_ssize_t stride, Py_ssize_t neurons, const floating* a,
                      floating* v, int n_threads) noexcept nogil
cdef int add_linear(const floating* points, Py_ssize_t words, Py_ssize_t depth,
                    const floating* tile, Py_ssize_t stride, double slope, floating* product,
                    floating* f, int n_threads, double* last) except -1 nogil
cdef void rescale(floating* f, Py_ssize_t n, double factor) noexcept nogil

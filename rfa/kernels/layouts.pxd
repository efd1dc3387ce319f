from cython cimport floating
from libc.stdint cimport int64_t

# The packed layouts are drawn in README.md.
cdef int pack_lanes(const floating[:, :] X, const int64_t* order, floating* lanes, int n_threads,
                    double* last) except -1 nogil
cdef int pack_rows(const floating[:, :] X, const int64_t* order, floating* rows, int n_threads,
                   double* last) except -1 nogil

cdef int check_signals(double* last) except -1 nogil
cdef void* allocate(Py_ssize_t size, Py_ssize_t count, Py_ssize_t each) except NULL nogil
cdef void* address_of(array, dtype) except NULL

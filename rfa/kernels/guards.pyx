"""What every compiled loop needs around it: IEEE arithmetic, checked memory, and Ctrl-C."""
import threading

from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel, threadid
from libc.stdlib cimport free, malloc

from rfa.kernels.levels cimport rfa_seconds

cdef extern from "<fenv.h>" nogil:
    ctypedef struct fenv_t:
        pass
    const fenv_t* FE_DFL_ENV
    int fegetenv(fenv_t*)
    int fesetenv(const fenv_t*)

cdef extern from * nogil:
    bint __builtin_mul_overflow(Py_ssize_t, Py_ssize_t, Py_ssize_t*)

cdef double SIGNAL_SECONDS = 0.05   # between two checks for Ctrl-C


cdef class OwnArithmetic:
    """A context in which the calling thread and its pool of n_threads compute by the defaults of
    IEEE 754: rounding to nearest, subnormal numbers, no traps. At its end each thread gets its own
    mode back.

    Another library may have set some threads to flush subnormal numbers or to round in another way.
    The bits of a result would then depend on which threads these are.
    """
    cdef fenv_t* callers
    cdef int n_threads

    def __cinit__(self, int n_threads=1):
        self.n_threads = n_threads
        self.callers = <fenv_t*>allocate(n_threads, 1, sizeof(fenv_t))

    def __dealloc__(self):
        free(self.callers)

    def __enter__(self):
        cdef int k
        for k in range(self.n_threads):
            fegetenv(self.callers + k)
        if self.n_threads > 1:
            with nogil, parallel(num_threads=self.n_threads):
                fegetenv(self.callers + threadid())
                fesetenv(FE_DFL_ENV)
        else:
            fesetenv(FE_DFL_ENV)

    def __exit__(self, *error):
        if self.n_threads > 1:
            with nogil, parallel(num_threads=self.n_threads):
                fesetenv(self.callers + threadid())
        else:
            fesetenv(self.callers)


_of_thread = threading.local()


def cancel_by(event):
    """Let calls in this thread end with KeyboardInterrupt soon after the event is set.

    Python handles signals in the main thread alone, which sets the event for the others.
    """
    _of_thread.cancelled = event


cdef int check_signals(double* last) except -1 nogil:
    """Let Python handle signals if that was last done some time ago; Ctrl-C raises."""
    cdef double now = rfa_seconds()
    if now - last[0] > SIGNAL_SECONDS:
        last[0] = now
        with gil:
            handle_signals()
    return 0


cdef int handle_signals() except -1:
    PyErr_CheckSignals()
    cancelled = getattr(_of_thread, "cancelled", None)
    if cancelled is not None and cancelled.is_set():
        raise KeyboardInterrupt
    return 0


cdef void* allocate(Py_ssize_t size, Py_ssize_t count, Py_ssize_t each) except NULL nogil:
    """Memory for size x count entries of `each` bytes.

    MemoryError if there is not enough, or if the number of bytes does not fit into 64 bits.
    """
    cdef Py_ssize_t entries, total
    cdef void* room = NULL
    if not (__builtin_mul_overflow(size, count, &entries)
            or __builtin_mul_overflow(entries, each, &total)):
        room = malloc(max(total, <Py_ssize_t>1))
    if room == NULL:
        with gil:
            raise MemoryError(f"{size} x {count} numbers of {each} bytes do not fit into memory")
    return room


cdef void* address_of(array, dtype) except NULL:
    """Where the entries of a contiguous array of this type begin. Whoever keeps the address has to
    keep the array."""
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"not a contiguous array of {dtype}: {array.flags}, {array.dtype}")
    return <void*><size_t>array.__array_interface__["data"][0]

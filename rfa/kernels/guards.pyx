"""What surrounds every compiled loop: IEEE arithmetic, checked memory, and Ctrl-C."""
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
    """A context in which the calling thread, and its pool of n_threads, compute as IEEE 754 has it
    by default: to nearest, subnormal numbers kept, no traps. Afterwards every thread is as it was.

    Another library may have set a thread to flush subnormal numbers or to round in another way. The
    bits of a result would then depend on which threads have been set.
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
    """Calls in this thread end with KeyboardInterrupt soon after the event is set.

    Python hands signals to the main thread alone, which sets the event for others.
    """
    _of_thread.cancelled = event


cdef int check_signals(double* last) except -1 nogil:
    """Let Python handle a signal (Ctrl-C raises) if the last look was some time ago."""
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
    """Memory for size x count entries of each bytes.

    MemoryError if there is not enough, or if the number of bytes is more than 64 bits can hold.
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

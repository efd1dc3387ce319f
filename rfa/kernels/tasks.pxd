from libc.stdint cimport int64_t

# The threads' queues of tasks. Each is at the beginning of its thread's scratch, on a cache line
# that only it uses.
ctypedef struct queues_t:
    char* scratch
    Py_ssize_t stride    # bytes from the scratch of a thread to that of the next
    int n_threads

cdef void share_tasks(const queues_t* queues, Py_ssize_t first, Py_ssize_t stop) noexcept nogil
cdef Py_ssize_t next_task(const queues_t* queues, int thread) noexcept nogil

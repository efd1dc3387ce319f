"""Queues of tasks: each thread takes those of its own queue first, then those of the others."""
from libc.stdint cimport int64_t

cdef extern from * nogil:
    int64_t __atomic_fetch_add(int64_t*, int64_t, int)
    int __ATOMIC_RELAXED


cdef void share_tasks(const queues_t* queues, Py_ssize_t first, Py_ssize_t stop) noexcept nogil:
    """Share out the tasks first, ..., stop - 1 among the queues. A thread gets the same tasks in
    every step, so that what they change stays in the caches of one core."""
    cdef Py_ssize_t k, count = stop - first
    cdef int64_t* queue
    for k in range(queues.n_threads):
        queue = <int64_t*>(queues.scratch + k * queues.stride)
        queue[0] = first + count * k // queues.n_threads
        queue[1] = first + count * (k + 1) // queues.n_threads


cdef Py_ssize_t next_task(const queues_t* queues, int thread) noexcept nogil:
    """A task of the thread's own queue, or of another one if that is empty; -1 if all are empty."""
    cdef Py_ssize_t k
    cdef int64_t task
    cdef int64_t* queue
    for k in range(queues.n_threads):
        queue = <int64_t*>(queues.scratch + (thread + k) % queues.n_threads * queues.stride)
        task = __atomic_fetch_add(queue, 1, __ATOMIC_RELAXED)
        if task < queue[1]:
            return task
    return -1

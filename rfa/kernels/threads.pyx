"""The OpenMP runtime: what it was told, where it puts threads, and whether they can be started.

`import rfa` loads this module, and with it the runtime that the kernels run on.
"""
import os
import re
import sys
import threading

cdef extern from * nogil:
    """
    #include <pthread.h>
    #include <signal.h>
    #include <stdint.h>
    #include <unistd.h>

    static void *rfa_pass(void *gate)
    {
        pthread_mutex_lock(gate);
        pthread_mutex_unlock(gate);
        return NULL;
    }

    /* Starts up to count threads that live at the same time. Returns how many could be started.
       stack is the size of their stacks in bytes; if it is 0, or the system refuses it, the stacks
       have the usual size, as in libgomp. */
    static int rfa_startable(int count, pthread_t *threads, size_t stack)
    {
        pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
        pthread_attr_t attr;
        int started = 0, k;
        if (pthread_attr_init(&attr) != 0)
            return 0;
        if (stack > 0)
            (void)pthread_attr_setstacksize(&attr, stack);
        pthread_mutex_lock(&gate);
        while (started < count && pthread_create(threads + started, &attr, rfa_pass, &gate) == 0)
            started++;
        pthread_mutex_unlock(&gate);
        for (k = 0; k < started; k++)
            pthread_join(threads[k], NULL);
        pthread_attr_destroy(&attr);
        return started;
    }

    #ifdef _OPENMP
    #include <omp.h>

    static int rfa_openmp(void) { return _OPENMP; }

    static void rfa_pause_threads(void)
    {
    #ifdef RFA_HAVE_OMP_PAUSE
        omp_pause_resource_all(omp_pause_hard);
    #endif
    }

    static void *rfa_ask(void *number)
    {
        *(int *)number = omp_get_max_threads();
        return NULL;
    }

    /* The limit of a new thread: omp_set_num_threads changes that of the thread that calls it. */
    static int rfa_first_limit(void)
    {
        int number = omp_get_max_threads();
        pthread_t thread;
        if (pthread_create(&thread, NULL, rfa_ask, &number) == 0)
            pthread_join(thread, NULL);
        return number;
    }

    static struct {
        pthread_mutex_t lock;
        pthread_cond_t known;
        int threads;
    } rfa_idle = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

    static void *rfa_stay_idle(void *count)
    {
        int threads = 1;
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, NULL);   /* also for the threads that this one starts */
        #pragma omp parallel num_threads((int)(intptr_t)count)
        {
            #pragma omp single
            threads = omp_get_num_threads();
        }
        pthread_mutex_lock(&rfa_idle.lock);
        rfa_idle.threads = threads;
        pthread_cond_signal(&rfa_idle.known);
        pthread_mutex_unlock(&rfa_idle.lock);
        for (;;)
            pause();
        return NULL;
    }

    /* Starts a thread with a team of count threads, which sleep from then on. Returns the size of
       the team. */
    static int rfa_keep_idle(int count)
    {
        pthread_t thread;
        if (pthread_create(&thread, NULL, rfa_stay_idle, (void *)(intptr_t)count) != 0)
            return 0;
        pthread_detach(thread);
        pthread_mutex_lock(&rfa_idle.lock);
        while (rfa_idle.threads == 0)
            pthread_cond_wait(&rfa_idle.known, &rfa_idle.lock);
        pthread_mutex_unlock(&rfa_idle.lock);
        return rfa_idle.threads;
    }
    #else
    static int rfa_keep_idle(int count) { return 0; }
    static int rfa_openmp(void) { return 0; }
    static void rfa_pause_threads(void) {}
    static int rfa_first_limit(void) { return 1; }
    static int omp_get_max_threads(void) { return 1; }
    #endif

    #if defined(_OPENMP) && _OPENMP >= 201511
    static int rfa_bound(void) { return omp_get_proc_bind() != omp_proc_bind_false; }
    #else
    static int rfa_bound(void) { return 0; }
    static int omp_get_num_places(void) { return 0; }
    static int omp_get_place_num(void) { return -1; }
    static int omp_get_place_num_procs(int place) { return 0; }
    static void omp_get_place_proc_ids(int place, int *ids) {}
    #endif
    """
    ctypedef struct pthread_t:
        pass
    int rfa_openmp()
    void rfa_pause_threads()
    int rfa_first_limit()
    int rfa_startable(int count, pthread_t* threads, size_t stack)
    int rfa_keep_idle(int count)
    int rfa_bound()
    int omp_get_max_threads()
    int omp_get_num_places()
    int omp_get_place_num()
    int omp_get_place_num_procs(int place)
    void omp_get_place_proc_ids(int place, int* ids)

from libc.stdlib cimport free, malloc

OPENMP = rfa_openmp()   # the date of the OpenMP specification, 0 without OpenMP

# The value of omp_get_max_threads in a thread for which nobody has set a limit.
cdef int _first_limit = rfa_first_limit()

# How the environment gives the size of a stack: a number, and a letter for its unit.
STACK = re.compile(r"\s*([+-]?[0-9]+)\s*([bkmg]?)\s*", re.ASCII | re.IGNORECASE)
SHIFTS = {"b": 0, "": 10, "k": 10, "m": 20, "g": 30}
SIZES = 2 * sys.maxsize + 2


def stack_size(environment):
    """Bytes of a thread's stack by the environment, as the OpenMP runtime reads it; 0 if not given.

    The first variable with a readable value counts: a number of kilobytes, or of another unit with
    a letter. A negative number wraps around, as in C.
    """
    for name in ("OMP_STACKSIZE", "GOMP_STACKSIZE"):
        asked = STACK.fullmatch(environment.get(name, ""))
        # no size has more digits, and int refuses thousands of them
        if asked and len(asked[1].lstrip("+-0")) <= 20:
            number = int(asked[1])
            size = (number % SIZES) << SHIFTS[asked[2].lower()]
            if abs(number) < SIZES and size < SIZES:
                return size
    return 0


# Now, since the runtime has just read the environment.
cdef size_t _stack = stack_size(os.environ)

# `proven`: the number of threads that this thread's pool is known to be able to have.
_of_thread = threading.local()


def limit():
    """The limit of this thread, if omp_set_num_threads has set one, as threadpoolctl does; else
    None."""
    cdef int number = omp_get_max_threads()
    return None if number == _first_limit else number


def startable(int count):
    """The number of further threads, at most count, that the system lets this process start."""
    cdef pthread_t* threads = <pthread_t*>malloc(max(count, 1) * sizeof(pthread_t))
    cdef int started
    if threads == NULL:
        raise MemoryError()
    with nogil:
        started = rfa_startable(count, threads, _stack)
    free(threads)
    return started


def available(int n_threads):
    """n_threads, or fewer if the system does not let this thread's pool have that many.

    libgomp ends the process if it cannot start a thread. So this starts threads for a try before
    the first parallel region of a size. A pool keeps the threads that it has.
    """
    cdef int proven = getattr(_of_thread, "proven", 1)
    if n_threads <= proven:
        return n_threads
    _of_thread.proven = proven + startable(n_threads - proven)
    return _of_thread.proven


def keep_idle(int count):
    """Start a team of count OpenMP threads that sleep to the end of the process. Whether it could
    be started."""
    cdef int found = 0
    if startable(count) == count:
        with nogil:
            found = rfa_keep_idle(count)
    return found == count


def pause():
    """Stop the OpenMP threads of this thread's pool. The next parallel region starts new ones."""
    _of_thread.proven = 1
    rfa_pause_threads()


# In a forked child the threads of libgomp's pool do not exist, but the pool would wait for them. If
# there is no pool at the time of the fork, the child starts its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=pause)


def places():
    """The sets of CPUs to which the runtime binds threads (OMP_PROC_BIND, OMP_PLACES,
    GOMP_CPU_AFFINITY); an empty list if it binds none."""
    cdef int place, count
    cdef int* ids
    found = []
    for place in range(omp_get_num_places() if rfa_bound() else 0):
        count = omp_get_place_num_procs(place)
        ids = <int*>malloc(max(count, 1) * sizeof(int))
        if ids == NULL:
            raise MemoryError()
        omp_get_place_proc_ids(place, ids)
        found.append({ids[k] for k in range(count)})
        free(ids)
    return found


def place():
    """The number of the place to which the runtime has bound this thread, -1 if there is none.

    If libgomp does not know the thread yet, this call binds it.
    """
    return omp_get_place_num()

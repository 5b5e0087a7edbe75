/*
 * Preloaded into a program, moves the clocks that the program sees by what a file says just then: how far each is ahead, and
 * how much further it gets each second, both of which may change while the program runs. The clocks that measure time
 * (CLOCK_MONOTONIC and its kin) stay as they are unless the file gives them a rate of their own.
 *
 * CLOCK_SHIM_FILE  six 64-bit signed integers in the byte order of the machine: a number that is odd while the others are
 *                  being changed; from when on the rates count (CLOCK_MONOTONIC in ns); how far the wall clock is ahead
 *                  in ns, and its rate in ns a second; the same for the clocks that measure time. shim-clock.ts writes it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL

struct hand {
  int64_t ahead_ns;
  int64_t rate_ns;
};
struct setting {
  int64_t changes;
  int64_t since_ns;
  struct hand wall;
  struct hand steady;
};

static const volatile struct setting *setting;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

/* Before any thread of the program. A program that was told to be moved and cannot be must not run as if it were. */
__attribute__((constructor)) static void prepare(void) {
  *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  const char *path = getenv("CLOCK_SHIM_FILE");
  if (path == NULL) return;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) abort();
  void *mapped = mmap(NULL, sizeof *setting, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (mapped == MAP_FAILED) abort();
  setting = mapped;
}

static int64_t nanoseconds(const struct timespec *time) { return time->tv_sec * SECOND_NS + time->tv_nsec; }

/* Never half of one setting and half of another. */
static struct setting read_setting(void) {
  struct setting read;
  do {
    read.changes = __atomic_load_n(&setting->changes, __ATOMIC_ACQUIRE);
    read.since_ns = setting->since_ns;
    read.wall.ahead_ns = setting->wall.ahead_ns;
    read.wall.rate_ns = setting->wall.rate_ns;
    read.steady.ahead_ns = setting->steady.ahead_ns;
    read.steady.rate_ns = setting->steady.rate_ns;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
  } while ((read.changes & 1) != 0 || read.changes != __atomic_load_n(&setting->changes, __ATOMIC_RELAXED));
  return read;
}

static int64_t ahead_ns(const struct hand *hand, int64_t since_ns) {
  if (hand->rate_ns == 0) return hand->ahead_ns;
  struct timespec now;
  real_clock_gettime(CLOCK_MONOTONIC, &now);
  return hand->ahead_ns + (int64_t)((double)(nanoseconds(&now) - since_ns) / SECOND_NS * hand->rate_ns);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  /* Another library may ask before this one is prepared. */
  if (real_clock_gettime == NULL) prepare();
  int result = real_clock_gettime(clock, time);
  if (result != 0 || setting == NULL) return result;
  struct setting read = read_setting();
  const struct hand *hand;
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
      hand = &read.wall;
      break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
      hand = &read.steady;
      break;
    default:
      return result;
  }
  int64_t moved = nanoseconds(time) + ahead_ns(hand, read.since_ns);
  time->tv_sec = moved / SECOND_NS;
  time->tv_nsec = moved % SECOND_NS;
  return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone; /* Linux knows no zone of the machine. */
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *into) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0) return -1;
  if (into != NULL) *into = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec *time, int base) {
  return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0;
}

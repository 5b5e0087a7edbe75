/*
 * Preloaded into a program, writes down every change the program makes under one folder, in the order the changes
 * happen, and makes changes fail when it is told to. What a power cut would have left is worked out from that record
 * (crash-states.ts); so nothing is forced to the disk here, a sync is only noted.
 *
 * DISK_SHIM_ROOT    the folder, an absolute path without links
 * DISK_SHIM_RECORD  the file of the record; each entry is a line "<kind> <inode> <at> <path bytes> <data bytes>", then
 *                   the path (from the root on), then the data
 * unlink("disk-shim:<skip>:<count>:<errno>")  lets <skip> changes pass and makes <count> fail, from now on
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CONTROL "disk-shim:"
#define BUFFERS_MAX 1024

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Held over each change and its entry: the record has the order in which things happened. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_bytes;
static int record = -1;
static long to_skip, to_fail;
static int failure;

static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_sync)(int);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_rename)(const char *, const char *);
static int (*real_link)(const char *, const char *);
static int (*real_unlink)(const char *);
static int (*real_remove)(const char *);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_rmdir)(const char *);
static int (*real_mkdir)(const char *, mode_t);

static void prepare(void) {
  *(void **)&real_writev = dlsym(RTLD_NEXT, "writev");
  *(void **)&real_pwritev = dlsym(RTLD_NEXT, "pwritev");
  *(void **)&real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
  *(void **)&real_sync = dlsym(RTLD_NEXT, "fsync");
  *(void **)&real_openat = dlsym(RTLD_NEXT, "openat");
  *(void **)&real_rename = dlsym(RTLD_NEXT, "rename");
  *(void **)&real_link = dlsym(RTLD_NEXT, "link");
  *(void **)&real_unlink = dlsym(RTLD_NEXT, "unlink");
  *(void **)&real_remove = dlsym(RTLD_NEXT, "remove");
  *(void **)&real_unlinkat = dlsym(RTLD_NEXT, "unlinkat");
  *(void **)&real_rmdir = dlsym(RTLD_NEXT, "rmdir");
  *(void **)&real_mkdir = dlsym(RTLD_NEXT, "mkdir");
  const char *path = getenv("DISK_SHIM_RECORD");
  const char *folder = getenv("DISK_SHIM_ROOT");
  if (path == NULL || folder == NULL) return;
  record = real_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  root = folder;
  root_bytes = strlen(folder);
}

static void begin(void) {
  pthread_once(&once, prepare);
  pthread_mutex_lock(&one_at_a_time);
}

static void end(void) {
  int kept = errno;
  pthread_mutex_unlock(&one_at_a_time);
  errno = kept;
}

/* The part of a path below the root, NULL for one that is elsewhere. */
static const char *below(const char *path) {
  if (record < 0 || strncmp(path, root, root_bytes) != 0) return NULL;
  if (path[root_bytes] == '\0') return path + root_bytes;
  return path[root_bytes] == '/' ? path + root_bytes + 1 : NULL;
}

/* The same for an open file or folder; its path goes into `path`. */
static const char *below_open(int file, char *path, struct stat *status) {
  if (record < 0) return NULL;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return NULL;
  path[length] = '\0';
  if (below(path) == NULL || fstat(file, status) != 0) return NULL;
  return S_ISREG(status->st_mode) || S_ISDIR(status->st_mode) ? below(path) : NULL;
}

static int fails(void) {
  if (to_fail <= 0) return 0;
  if (to_skip > 0) {
    to_skip -= 1;
    return 0;
  }
  to_fail -= 1;
  errno = failure;
  return 1;
}

static void note(char kind, ino_t inode, off_t at, const char *path, const struct iovec *data, int count, size_t bytes) {
  static char head[128];
  static struct iovec parts[BUFFERS_MAX + 2];
  int used = 2;
  size_t left = bytes;
  for (int i = 0; i < count && left > 0; i += 1) {
    size_t length = data[i].iov_len < left ? data[i].iov_len : left;
    parts[used].iov_base = data[i].iov_base;
    parts[used].iov_len = length;
    used += 1;
    left -= length;
  }
  parts[0].iov_base = head;
  parts[0].iov_len = (size_t)snprintf(head, sizeof head, "%c %llu %lld %zu %zu\n", kind, (unsigned long long)inode,
                                      (long long)at, strlen(path), bytes);
  parts[1].iov_base = (void *)path;
  parts[1].iov_len = strlen(path);
  size_t whole = parts[0].iov_len + parts[1].iov_len + bytes;
  /* Half an entry would make the whole record worthless. */
  if (real_writev(record, parts, used) != (ssize_t)whole) abort();
}

static void note_name(char kind, const char *path, const char *other) {
  struct stat status;
  ino_t inode = lstat(path, &status) == 0 ? status.st_ino : 0;
  struct iovec data = {(void *)(other == NULL ? "" : other), other == NULL ? 0 : strlen(other)};
  note(kind, inode, 0, below(path), &data, 1, data.iov_len);
}

/* `at` < 0: where the file stands. */
static ssize_t change_bytes(int file, const struct iovec *data, int count, off_t at) {
  char path[PATH_MAX];
  struct stat status;
  begin();
  const char *name = count <= BUFFERS_MAX ? below_open(file, path, &status) : NULL;
  if (name == NULL) {
    /* May wait for a reader, so not under the lock. */
    end();
    return at < 0 ? real_writev(file, data, count) : real_pwritev(file, data, count, at);
  }
  struct iovec half = {data[0].iov_base, data[0].iov_len / 2};
  int refused = fails();
  if (refused && (failure != ENOSPC || to_fail == 0 || half.iov_len == 0)) {
    end();
    return -1;
  }
  /* A disk that runs full takes a part first. */
  if (refused) {
    data = &half;
    count = 1;
  }
  ssize_t done = at < 0 ? real_writev(file, data, count) : real_pwritev(file, data, count, at);
  if (done > 0) note('W', status.st_ino, at < 0 ? lseek(file, 0, SEEK_CUR) - done : at, name, data, count, (size_t)done);
  end();
  return done;
}

ssize_t writev(int file, const struct iovec *data, int count) { return change_bytes(file, data, count, -1); }
ssize_t pwritev(int file, const struct iovec *data, int count, off_t at) { return change_bytes(file, data, count, at); }
ssize_t pwritev64(int file, const struct iovec *data, int count, off_t at) { return change_bytes(file, data, count, at); }
ssize_t write(int file, const void *bytes, size_t length) {
  struct iovec data = {(void *)bytes, length};
  return change_bytes(file, &data, 1, -1);
}
ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
  struct iovec data = {(void *)bytes, length};
  return change_bytes(file, &data, 1, at);
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off_t at) { return pwrite(file, bytes, length, at); }

int ftruncate(int file, off_t size) {
  char path[PATH_MAX];
  struct stat status;
  begin();
  const char *name = below_open(file, path, &status);
  int result = name != NULL && fails() ? -1 : real_ftruncate(file, size);
  if (name != NULL && result == 0) note('T', status.st_ino, size, name, NULL, 0, 0);
  end();
  return result;
}
int ftruncate64(int file, off_t size) { return ftruncate(file, size); }

int fsync(int file) {
  char path[PATH_MAX];
  struct stat status;
  begin();
  const char *name = below_open(file, path, &status);
  if (name == NULL) {
    end();
    return real_sync(file);
  }
  int result = fails() ? -1 : 0;
  note(result == 0 ? 'S' : 'F', status.st_ino, S_ISDIR(status.st_mode), name, NULL, 0, 0);
  end();
  return result;
}
int fdatasync(int file) { return fsync(file); }

static int open_any(int folder, const char *path, int flags, mode_t mode) {
  pthread_once(&once, prepare);
  const char *name = path[0] == '/' ? below(path) : NULL;
  if (name == NULL || (flags & (O_CREAT | O_TRUNC)) == 0) return real_openat(folder, path, flags, mode);
  struct stat before, after;
  begin();
  int existed = stat(path, &before) == 0;
  int changes = !existed || ((flags & O_TRUNC) != 0 && before.st_size > 0);
  int file = changes && fails() ? -1 : real_openat(folder, path, flags, mode);
  if (file >= 0 && changes && fstat(file, &after) == 0) note(existed ? 'T' : 'C', after.st_ino, 0, name, NULL, 0, 0);
  end();
  return file;
}

static mode_t mode_of(int flags, va_list rest) { return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0; }

#define OPEN(name)                                   \
  int name(const char *path, int flags, ...) {       \
    va_list rest;                                    \
    va_start(rest, flags);                           \
    mode_t mode = mode_of(flags, rest);              \
    va_end(rest);                                    \
    return open_any(AT_FDCWD, path, flags, mode);    \
  }
#define OPENAT(name)                                       \
  int name(int folder, const char *path, int flags, ...) { \
    va_list rest;                                          \
    va_start(rest, flags);                                 \
    mode_t mode = mode_of(flags, rest);                    \
    va_end(rest);                                          \
    return open_any(folder, path, flags, mode);            \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* A change of names: noted when it is done, not made when it is to fail. A full disk still lets go of what it has. */
#define CHANGE_NAME(kind, path, other, call)                          \
  begin();                                                            \
  int watched = below(path) != NULL;                                  \
  int frees = kind == 'U' && failure == ENOSPC;                       \
  int done = watched && !frees && fails() ? -1 : (call);              \
  if (watched && done == 0) note_name(kind, path, other);             \
  end();                                                              \
  return done

int rename(const char *from, const char *to) {
  pthread_once(&once, prepare);
  const char *name = below(to);
  CHANGE_NAME('R', from, name, real_rename(from, to));
}
int link(const char *from, const char *to) {
  pthread_once(&once, prepare);
  const char *name = below(to);
  CHANGE_NAME('L', from, name, real_link(from, to));
}
int remove(const char *path) { CHANGE_NAME('U', path, NULL, real_remove(path)); }
int rmdir(const char *path) { CHANGE_NAME('U', path, NULL, real_rmdir(path)); }
int mkdir(const char *path, mode_t mode) { CHANGE_NAME('M', path, NULL, real_mkdir(path, mode)); }
int unlinkat(int folder, const char *path, int flags) { CHANGE_NAME('U', path, NULL, real_unlinkat(folder, path, flags)); }
int unlink(const char *path) {
  if (strncmp(path, CONTROL, strlen(CONTROL)) == 0) {
    begin();
    sscanf(path + strlen(CONTROL), "%ld:%ld:%d", &to_skip, &to_fail, &failure);
    end();
    return 0;
  }
  CHANGE_NAME('U', path, NULL, real_unlink(path));
}

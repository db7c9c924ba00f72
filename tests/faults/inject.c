/* Preloaded into a process under test: lets the n-th write, fsync, rename or link below a folder
   fail, or kills the process there. Armed by a call, so that one process can be forked many times. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char folder[PATH_MAX];
static long countdown = 0; /* 0: not armed */
static int fault = 0;      /* an errno, or -1: kill */
static int sticky = 0;     /* whether every later write fails too, as on a full disk */
static int hit = 0;

void inject_arm(const char *where, long nth, int what, int stays) {
    snprintf(folder, sizeof folder, "%s", where);
    fault = what;
    sticky = stays;
    hit = 0;
    countdown = nth;
}

int inject_hit(void) { return hit; }

static int below(const char *path) { return strncmp(path, folder, strlen(folder)) == 0; }

static int below_fd(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return below(path);
}

/* Whether this call is the one that fails. */
static int fails(int is_write) {
    if (sticky && hit && is_write) { errno = fault; return 1; }
    if (countdown == 0 || --countdown != 0) return 0;
    hit = 1;
    if (fault < 0) { kill(getpid(), SIGKILL); for (;;) pause(); }
    errno = fault;
    return 1;
}

#define REAL(name) static typeof(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define ARMED (countdown || hit)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(write);
    if (ARMED && below_fd(fd) && fails(1)) return -1;
    return real(fd, data, n);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    REAL(pwrite);
    if (ARMED && below_fd(fd) && fails(1)) return -1;
    return real(fd, data, n, at);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    REAL(pwrite64);
    if (ARMED && below_fd(fd) && fails(1)) return -1;
    return real(fd, data, n, at);
}
int fsync(int fd) {
    REAL(fsync);
    if (ARMED && below_fd(fd) && fails(0)) return -1;
    return real(fd);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    if (ARMED && below(to) && fails(0)) return -1;
    return real(from, to);
}
int link(const char *from, const char *to) {
    REAL(link);
    if (ARMED && below(to) && fails(0)) return -1;
    return real(from, to);
}
int linkat(int in, const char *from, int at, const char *to, int flags) {
    REAL(linkat);
    if (ARMED && below(to) && fails(0)) return -1;
    return real(in, from, at, to, flags);
}
int unlink(const char *path) { /* killed there, only: what cannot be deleted is somebody else's */
    REAL(unlink);
    if (ARMED && fault < 0 && below(path) && fails(0)) return -1;
    return real(path);
}
int ftruncate(int fd, off_t n) {
    REAL(ftruncate);
    if (ARMED && below_fd(fd) && fails(1)) return -1;
    return real(fd, n);
}
int ftruncate64(int fd, off64_t n) {
    REAL(ftruncate64);
    if (ARMED && below_fd(fd) && fails(1)) return -1;
    return real(fd, n);
}

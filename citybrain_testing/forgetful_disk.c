/* A disk that forgets, preloaded into one process: what was written below a directory and not fsynced can be taken back later.
 *
 *     FORGETFUL_DIR      absolute folder whose files are watched
 *     FORGETFUL_JOURNAL  where the old contents go (see forgetful_disk.py, which puts them back)
 *     FORGETFUL_LIES     set: an fsync is done and not believed, as by a disk that says yes and keeps the data in its cache
 *
 * Before every write the bytes that it replaces and the file's size are appended to the journal; an fsync that returned
 * appends that the file is safe. The journal itself is only written: the test kills a process and not the machine, so
 * it is there afterwards. One lock holds write and journal together; renamed and deleted files are not followed, because the
 * log does neither while it writes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static const char *folder;
static int lies;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void start(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    folder = getenv("FORGETFUL_DIR");
    lies = getenv("FORGETFUL_LIES") != NULL;
    const char *name = getenv("FORGETFUL_JOURNAL");
    if (folder && name) journal = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The watched file behind a descriptor, or 0. */
static int watched(int fd, char *path) {
    char link[40];
    if (journal < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

struct entry {
    uint32_t synced, path_bytes;
    uint64_t size, offset, old_bytes;
};

static void append(struct entry entry, const char *path, const void *old) {
    size_t total = sizeof entry + entry.path_bytes + entry.old_bytes;
    char *whole = malloc(total);
    if (!whole) abort();
    memcpy(whole, &entry, sizeof entry);
    memcpy(whole + sizeof entry, path, entry.path_bytes);
    if (entry.old_bytes) memcpy(whole + sizeof entry + entry.path_bytes, old, entry.old_bytes);
    if (real_write(journal, whole, total) != (ssize_t)total) abort(); /* a test without its journal proves nothing */
    free(whole);
}

static void remember(int fd, const char *path, off_t offset, size_t count) {
    struct stat at;
    if (fstat(fd, &at) != 0) abort();
    size_t old = offset >= at.st_size ? 0 : (size_t)(at.st_size - offset);
    if (old > count) old = count;
    char *bytes = malloc(old ? old : 1);
    /* Written through a descriptor that may be open for writing alone: read the file by its name. */
    int reading = old ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (!bytes || (old && (reading < 0 || pread(reading, bytes, old, offset) != (ssize_t)old))) abort();
    if (reading >= 0) close(reading);
    append((struct entry){0, (uint32_t)strlen(path), (uint64_t)at.st_size, (uint64_t)offset, old}, path, bytes);
    free(bytes);
}

ssize_t pwrite64(int fd, const void *data, size_t count, off_t offset) {
    char path[PATH_MAX];
    if (!watched(fd, path)) return real_pwrite(fd, data, count, offset);
    pthread_mutex_lock(&lock);
    remember(fd, path, offset, count);
    ssize_t done = real_pwrite(fd, data, count, offset);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) { return pwrite64(fd, data, count, offset); }

ssize_t write(int fd, const void *data, size_t count) {
    char path[PATH_MAX];
    if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
    if (!watched(fd, path)) return real_write(fd, data, count);
    pthread_mutex_lock(&lock);
    remember(fd, path, lseek(fd, 0, SEEK_CUR), count);
    ssize_t done = real_write(fd, data, count);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int fd, off_t size) {
    char path[PATH_MAX];
    struct stat at;
    if (!watched(fd, path)) return real_ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    if (fstat(fd, &at) != 0) abort();
    remember(fd, path, size, at.st_size > size ? (size_t)(at.st_size - size) : 0);
    int done = real_ftruncate(fd, size);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    if (lies || !watched(fd, path)) return real(fd);
    pthread_mutex_lock(&lock);
    int done = real(fd);
    if (done == 0) append((struct entry){1, (uint32_t)strlen(path), 0, 0, 0}, path, NULL);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return synced(fd, real_fsync); }

int fdatasync(int fd) { return synced(fd, real_fdatasync); }

/* Between a process and the system: makes the k-th call on the files of one folder fail, or writes down all that is
 * done to them. Loaded by LD_PRELOAD, told what to do by the functions at the end; does nothing until then. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN, READ, WRITE, SYNC, TRUNCATE, UNLINK, RENAME, KINDS };
#define MOST 1024

static char folder[4096];
static char *names[MOST]; /* of the open files in the folder */
static int failing = -1, number, forever;
static long left, calls[KINDS], failed;
static FILE *journal;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int inside(const char *path) {
	size_t n = strlen(folder);
	return n && path && !strncmp(path, folder, n) && (!path[n] || path[n] == '/');
}

static const char *name_of(int fd) { return fd >= 0 && fd < MOST ? names[fd] : NULL; }

/* Count a call, and tell whether it is to fail. */
static int fails(int kind) {
	int now = 0;
	pthread_mutex_lock(&lock);
	calls[kind]++;
	if (kind == failing && (left > 0 ? --left == 0 : forever)) {
		now = 1;
		failed++;
	}
	pthread_mutex_unlock(&lock);
	if (now)
		errno = number;
	return now;
}

/* What was done: a letter, the name's length and name, offset, size, bytes. */
static void note(char what, const char *path, int64_t offset, const void *data, int64_t size) {
	if (!journal || !path)
		return;
	pthread_mutex_lock(&lock);
	int64_t head[3] = {(int64_t)strlen(path), offset, size};
	fputc(what, journal);
	fwrite(head, sizeof head, 1, journal);
	fwrite(path, 1, strlen(path), journal);
	if (data)
		fwrite(data, 1, size, journal);
	pthread_mutex_unlock(&lock);
}

#define REAL(type, name, ...) \
	static type (*real)(__VA_ARGS__); \
	if (!real) \
	real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int opened(int fd, const char *path, int flags) {
	if (fd >= 0 && fd < MOST) {
		names[fd] = NULL;
		if (inside(path)) {
			names[fd] = strdup(path); /* a few bytes a file, for the life of a test */
			if (flags & O_CREAT)
				note('C', path, 0, NULL, 0);
			if (flags & O_TRUNC)
				note('T', path, 0, NULL, 0);
		}
	}
	return fd;
}

#define OPENER(name) \
	int name(const char *path, int flags, ...) { \
		REAL(int, #name, const char *, int, mode_t); \
		va_list rest; \
		va_start(rest, flags); \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
		va_end(rest); \
		if (inside(path) && fails(OPEN)) \
			return -1; \
		return opened(real(path, flags, mode), path, flags); \
	}
OPENER(open)
OPENER(open64)

int close(int fd) {
	REAL(int, "close", int);
	if (fd >= 0 && fd < MOST)
		names[fd] = NULL;
	return real(fd);
}

#define READER(name, offset_t) \
	ssize_t name(int fd, void *data, size_t size, offset_t offset) { \
		REAL(ssize_t, #name, int, void *, size_t, offset_t); \
		return name_of(fd) && fails(READ) ? -1 : real(fd, data, size, offset); \
	}
READER(pread, off_t)
READER(pread64, off64_t)

#define WRITER(name, offset_t) \
	ssize_t name(int fd, const void *data, size_t size, offset_t offset) { \
		REAL(ssize_t, #name, int, const void *, size_t, offset_t); \
		const char *path = name_of(fd); \
		if (path && fails(WRITE)) \
			return -1; \
		ssize_t done = real(fd, data, size, offset); \
		if (done > 0) \
			note('W', path, offset, data, done); \
		return done; \
	}
WRITER(pwrite, off_t)
WRITER(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t size) {
	REAL(ssize_t, "write", int, const void *, size_t);
	const char *path = name_of(fd);
	if (!path)
		return real(fd, data, size);
	off_t offset = lseek(fd, 0, SEEK_CUR);
	if (fails(WRITE))
		return -1;
	ssize_t done = real(fd, data, size);
	if (done > 0)
		note('W', path, offset, data, done);
	return done;
}

/* Nothing is really synced there: tests lose no power, and would wait for the disk. */
#define SYNCER(name) \
	int name(int fd) { \
		REAL(int, #name, int); \
		const char *path = name_of(fd); \
		if (path && fails(SYNC)) \
			return -1; \
		if (!path) \
			return real(fd); \
		note('S', path, 0, NULL, 0); \
		return 0; \
	}
SYNCER(fsync)
SYNCER(fdatasync)

#define CUTTER(name, offset_t) \
	int name(int fd, offset_t size) { \
		REAL(int, #name, int, offset_t); \
		const char *path = name_of(fd); \
		if (path && fails(TRUNCATE)) \
			return -1; \
		int done = real(fd, size); \
		if (!done) \
			note('T', path, size, NULL, 0); \
		return done; \
	}
CUTTER(ftruncate, off_t)
CUTTER(ftruncate64, off64_t)

int unlink(const char *path) {
	REAL(int, "unlink", const char *);
	if (inside(path) && fails(UNLINK))
		return -1;
	int done = real(path);
	if (!done && inside(path))
		note('U', path, 0, NULL, 0);
	return done;
}

/* Not written down: the library renames nothing. */
int rename(const char *from, const char *to) {
	REAL(int, "rename", const char *, const char *);
	return inside(to) && fails(RENAME) ? -1 : real(from, to);
}

void shim_watch(const char *path) { snprintf(folder, sizeof folder, "%s", path); }

/* Let the k-th call of a kind fail with an error number, only that one or all from there on; kind -1: none. */
void shim_fail(int kind, long k, int error, int from_then_on) {
	failing = -1;
	memset(calls, 0, sizeof calls);
	left = k, number = error, forever = from_then_on, failed = 0;
	failing = kind;
}

long shim_failed(void) { return failed; }

long shim_calls(int kind) { return calls[kind]; }

void shim_journal(const char *path) {
	FILE *before = journal;
	journal = NULL;
	if (before)
		fclose(before);
	if (*path)
		journal = fopen(path, "wb");
}

/* Note that something was told to the user. */
void shim_mark(long n) { note('M', "", n, NULL, 0); }

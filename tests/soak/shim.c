/* Preloaded under a process: what it does to one folder is written down, and bad luck can be had.

   Of every change below the folder (SOAK_FOLDER) one record goes to the log (SOAK_LOG), in order;
   `soak.disk` builds from it what a disk may hold after a power cut. Before change number
   SOAK_KILL_AT the process kills itself, in the middle of it if that is a write. SOAK_NO_LOCKS is
   the errno of every flock below the folder. SOAK_CLOCK names a file whose first eight bytes are
   the seconds by which the clock of the day is wrong, now. Writes through FILE * are not seen; a
   file opened so for writing is noted as `X`, and the replay refuses such a log. What changes names
   or syncs and does not come through libc (Rust's rustix does not) is caught by a seccomp filter,
   which lets only `raw` below pass. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define FDS 65536
#define MAPS 1024
#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct head {
    char kind;
    char pad[7];
    uint64_t inode, offset, size; /* size: of the data that follows, or a file's new length */
    uint32_t path, other;         /* lengths of the paths that follow */
};
struct map {
    char *at;
    size_t length;
    uint64_t inode, offset;
};

static char folder[PATH_MAX];
static size_t folder_length; /* 0: off */
static int log_fd = -1, lock_errno;
static long changes, kill_at;
static volatile int64_t *clock_wrong;
static char below[FDS]; /* descriptors of files in the folder */
static struct map maps[MAPS];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void take(void) { pthread_mutex_lock(&turn); }
static void give(void) { pthread_mutex_unlock(&turn); }
static void afresh(void) { pthread_mutex_init(&turn, NULL); }

/* The one place from which the filter lets calls pass: the address behind its instruction. */
long soak_raw(long number, long a, long b, long c, long d, long e);
extern const char soak_raw_passed[];
__asm__(".text\n.globl soak_raw\n.hidden soak_raw\n.type soak_raw,@function\n"
        "soak_raw:\n mov %rdi,%rax\n mov %rsi,%rdi\n mov %rdx,%rsi\n mov %rcx,%rdx\n"
        " mov %r8,%r10\n mov %r9,%r8\n syscall\n"
        ".globl soak_raw_passed\n.hidden soak_raw_passed\nsoak_raw_passed:\n ret\n");

static long raw(long number, long a, long b, long c, long d, long e) {
    long got = soak_raw(number, a, b, c, d, e);
    if (got >= 0 || got < -4095) return got;
    errno = -got;
    return -1;
}

static const int caught[] = {SYS_rename, SYS_renameat, SYS_renameat2, SYS_unlink, SYS_unlinkat,
                             SYS_rmdir, SYS_mkdir, SYS_mkdirat, SYS_fsync, SYS_fdatasync};
#define CAUGHT ((int)(sizeof caught / sizeof *caught))
static void on_call(int, siginfo_t *, void *);

static void filter_calls(void) {
    static int on;
    if (on++) return;
    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSYS, &action, NULL);
    uint64_t passed = (uint64_t)soak_raw_passed;
    struct sock_filter all[CAUGHT + 10];
    int n = 0;
#define DATA(field) (uint32_t) offsetof(struct seccomp_data, field)
    all[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(arch));
    all[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    all[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    all[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(nr));
    for (int i = 0; i < CAUGHT; i++)
        all[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, caught[i], CAUGHT - i, 0);
    all[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    all[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(instruction_pointer));
    all[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)passed, 1, 0);
    all[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
    all[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, all};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

/* Arm it: also called by a process that was forked after the start. */
EXPORT void soak_arm(void) {
    const char *text = getenv("SOAK_CLOCK");
    if (text) {
        int fd = syscall(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
        void *at = fd < 0 ? MAP_FAILED
                          : (void *)syscall(SYS_mmap, NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED) clock_wrong = at;
        if (fd >= 0) syscall(SYS_close, fd);
    }
    text = getenv("SOAK_NO_LOCKS");
    lock_errno = text ? atoi(text) : 0;
    text = getenv("SOAK_KILL_AT");
    kill_at = text ? atol(text) : 0;
    changes = 0;
    text = getenv("SOAK_LOG");
    if (text) {
        int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
        log_fd = syscall(SYS_openat, AT_FDCWD, text, flags, 0600);
    }
    text = getenv("SOAK_FOLDER");
    if (text && realpath(text, folder)) folder_length = strlen(folder);
    if (folder_length && (log_fd >= 0 || kill_at)) filter_calls();
}

__attribute__((constructor)) static void begin(void) {
    pthread_atfork(NULL, NULL, afresh);
    soak_arm();
}

static int in_folder(const char *path) {
    return folder_length && !strncmp(path, folder, folder_length) &&
           (path[folder_length] == '/' || !path[folder_length]);
}

static int path_of_fd(int fd, char *out) {
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(proc, out, PATH_MAX - 1);
    if (n < 0) return 0;
    out[n] = 0;
    return 1;
}

/* The absolute path of a name, its folder resolved, the name itself not; 0 if it is elsewhere. */
static int find(int dir, const char *name, char *out) {
    char whole[2 * PATH_MAX], base[PATH_MAX];
    if (!folder_length || !name) return 0;
    if (name[0] == '/') snprintf(whole, sizeof whole, "%s", name);
    else {
        if (dir == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of_fd(dir, base)) return 0;
        snprintf(whole, sizeof whole, "%s/%s", base, name);
    }
    size_t n = strlen(whole);
    while (n > 1 && whole[n - 1] == '/') whole[--n] = 0;
    char *slash = strrchr(whole, '/');
    if (!slash || slash == whole) return 0;
    *slash = 0;
    if (!realpath(whole, base)) return 0;
    int size = snprintf(out, PATH_MAX, "%s/%s", base, slash + 1);
    return size < PATH_MAX && in_folder(out);
}

static void note(char kind, uint64_t inode, uint64_t offset, uint64_t size, const char *path,
                 const char *other, const struct iovec *data, int parts) {
    if (log_fd < 0) return;
    struct head head = {.kind = kind, .inode = inode, .offset = offset, .size = size};
    head.path = path ? strlen(path) : 0;
    head.other = other ? strlen(other) : 0;
    struct iovec all[3 + 64] = {{&head, sizeof head},
                                {(void *)path, head.path},
                                {(void *)other, head.other}};
    for (int i = 0; i < parts && i < 64; i++) all[3 + i] = data[i];
    syscall(SYS_writev, log_fd, all, 3 + parts);
}

/* Before each change: whether it is the last one. */
static int now_dies(void) { return ++changes == kill_at; }
static void die(void) { syscall(SYS_kill, getpid(), SIGKILL); }

static uint64_t inode_of(int fd) {
    struct stat of;
    return fstat(fd, &of) ? 0 : of.st_ino;
}

static int tracked(int fd) { return folder_length && fd >= 0 && fd < FDS && below[fd]; }

static int open_at(int dir, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!folder_length) return syscall(SYS_openat, dir, name, flags, mode);
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    if (!find(dir, name, path)) {
        int fd = syscall(SYS_openat, dir, name, flags, mode);
        if (fd >= 0 && fd < FDS) below[fd] = 0;
        return fd;
    }
    take();
    struct stat of;
    int there = !lstat(path, &of), makes = (flags & O_CREAT) && !there;
    if (makes || (there && flags & O_TRUNC)) {
        if (now_dies()) die();
    }
    int fd = syscall(SYS_openat, dir, name, flags, mode);
    if (fd >= 0) {
        if (fd < FDS) below[fd] = 1;
        if (makes) note('C', inode_of(fd), 0, 0, path, NULL, NULL, 0);
        else if (there && writes && flags & O_TRUNC) note('T', inode_of(fd), 0, 0, path, NULL, NULL, 0);
    }
    give();
    return fd;
}

#define MODE(last)                                                                                 \
    mode_t mode = 0;                                                                               \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                         \
        va_list more;                                                                              \
        va_start(more, last);                                                                      \
        mode = va_arg(more, mode_t);                                                               \
        va_end(more);                                                                              \
    }

EXPORT int open(const char *name, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, name, flags, mode); }
EXPORT int open64(const char *name, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, name, flags, mode); }
EXPORT int openat(int dir, const char *name, int flags, ...) { MODE(flags) return open_at(dir, name, flags, mode); }
EXPORT int openat64(int dir, const char *name, int flags, ...) { MODE(flags) return open_at(dir, name, flags, mode); }
EXPORT int __open_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
EXPORT int __open64_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
EXPORT int __openat_2(int dir, const char *name, int flags) { return open_at(dir, name, flags, 0); }
EXPORT int __openat64_2(int dir, const char *name, int flags) { return open_at(dir, name, flags, 0); }
EXPORT int creat(const char *name, mode_t mode) { return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
EXPORT int creat64(const char *name, mode_t mode) { return creat(name, mode); }

static FILE *stream(const char *name, const char *mode, FILE *(*real)(const char *, const char *)) {
    char path[PATH_MAX];
    if (folder_length && strpbrk(mode, "wa+") && find(AT_FDCWD, name, path))
        note('X', 0, 0, 0, path, "fopen", NULL, 0);
    return real(name, mode);
}
EXPORT FILE *fopen(const char *name, const char *mode) { return stream(name, mode, REAL(fopen)); }
EXPORT FILE *fopen64(const char *name, const char *mode) { return stream(name, mode, REAL(fopen64)); }

static void adopt(int from, int to) {
    if (to >= 0 && to < FDS) below[to] = from >= 0 && from < FDS ? below[from] : 0;
}
EXPORT int dup(int fd) { int to = syscall(SYS_dup, fd); adopt(fd, to); return to; }
EXPORT int dup2(int fd, int to) { int got = REAL(dup2)(fd, to); if (got >= 0) adopt(fd, got); return got; }
EXPORT int dup3(int fd, int to, int flags) { int got = syscall(SYS_dup3, fd, to, flags); if (got >= 0) adopt(fd, got); return got; }
static int control(int fd, int command, void *argument) {
    int got = syscall(SYS_fcntl, fd, command, argument);
    if (got >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) adopt(fd, got);
    return got;
}
EXPORT int fcntl(int fd, int command, ...) {
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return control(fd, command, argument);
}
EXPORT int fcntl64(int fd, int command, ...) {
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return control(fd, command, argument);
}
EXPORT int close(int fd) {
    if (fd >= 0 && fd < FDS) below[fd] = 0;
    return syscall(SYS_close, fd);
}

/* offset < 0: where the descriptor stands. */
static ssize_t write_parts(int fd, const struct iovec *parts, int n, off_t offset) {
    take();
    struct iovec half = parts[0];
    int dies = now_dies();
    if (dies) {
        half.iov_len /= 2;
        parts = &half;
        n = 1;
    }
    ssize_t done = offset < 0 ? syscall(SYS_writev, fd, parts, n)
                              : syscall(SYS_pwritev, fd, parts, n, (long)offset, 0L);
    if (done > 0 && log_fd >= 0) {
        off_t at = offset < 0 ? syscall(SYS_lseek, fd, 0, SEEK_CUR) - done : offset;
        struct iovec wrote[64] = {{0}};
        size_t left = done;
        int used = 0;
        for (; used < n && used < 64 && left; used++) {
            wrote[used] = parts[used];
            if (wrote[used].iov_len > left) wrote[used].iov_len = left;
            left -= wrote[used].iov_len;
        }
        note('W', inode_of(fd), at, done - left, NULL, NULL, wrote, used);
        if (left) note('X', 0, 0, 0, "writev", "of more than 64 parts", NULL, 0);
    }
    if (dies) die();
    give();
    return done;
}
static ssize_t write_one(int fd, const void *data, size_t n, off_t offset) {
    struct iovec part = {(void *)data, n};
    return write_parts(fd, &part, 1, offset);
}
EXPORT ssize_t write(int fd, const void *data, size_t n) {
    return tracked(fd) ? write_one(fd, data, n, -1) : syscall(SYS_write, fd, data, n);
}
EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    return tracked(fd) ? write_one(fd, data, n, at) : syscall(SYS_pwrite64, fd, data, n, at);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) { return pwrite(fd, data, n, at); }
EXPORT ssize_t writev(int fd, const struct iovec *parts, int n) {
    return tracked(fd) && n > 0 ? write_parts(fd, parts, n, -1) : syscall(SYS_writev, fd, parts, n);
}
EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at) {
    return tracked(fd) && n > 0 ? write_parts(fd, parts, n, at) : syscall(SYS_pwritev, fd, parts, n, (long)at, 0L);
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *parts, int n, off_t at) { return pwritev(fd, parts, n, at); }

/* What the kernel copied from one file to another, read back. */
static void note_copied(int fd, off_t at, ssize_t n) {
    char *data = n > 0 && log_fd >= 0 ? malloc(n) : NULL;
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    int reads = data ? syscall(SYS_openat, AT_FDCWD, proc, O_RDONLY | O_CLOEXEC) : -1;
    if (reads >= 0 && syscall(SYS_pread64, reads, data, n, at) == n) {
        struct iovec part = {data, n};
        note('W', inode_of(fd), at, n, NULL, NULL, &part, 1);
    }
    if (reads >= 0) syscall(SYS_close, reads);
    free(data);
}
EXPORT ssize_t sendfile(int to, int from, off_t *at, size_t n) {
    if (!tracked(to)) return syscall(SYS_sendfile, to, from, at, n);
    take();
    if (now_dies()) die();
    off_t start = syscall(SYS_lseek, to, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_sendfile, to, from, at, n);
    note_copied(to, start, done);
    give();
    return done;
}
EXPORT ssize_t sendfile64(int to, int from, off_t *at, size_t n) { return sendfile(to, from, at, n); }
EXPORT ssize_t copy_file_range(int from, off_t *in, int to, off_t *out, size_t n, unsigned flags) {
    if (!tracked(to)) return syscall(SYS_copy_file_range, from, in, to, out, n, flags);
    take();
    if (now_dies()) die();
    off_t start = out ? *out : syscall(SYS_lseek, to, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_copy_file_range, from, in, to, out, n, flags);
    note_copied(to, start, done);
    give();
    return done;
}

static int resize(int fd, const char *path, off_t size) {
    take();
    if (now_dies()) die();
    int got = path ? syscall(SYS_truncate, path, size) : syscall(SYS_ftruncate, fd, size);
    struct stat of;
    if (!got && !(path ? stat(path, &of) : fstat(fd, &of))) note('T', of.st_ino, 0, size, NULL, NULL, NULL, 0);
    give();
    return got;
}
EXPORT int ftruncate(int fd, off_t size) { return tracked(fd) ? resize(fd, NULL, size) : syscall(SYS_ftruncate, fd, size); }
EXPORT int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }
EXPORT int truncate(const char *name, off_t size) {
    char path[PATH_MAX];
    return find(AT_FDCWD, name, path) ? resize(-1, path, size) : syscall(SYS_truncate, name, size);
}
EXPORT int truncate64(const char *name, off_t size) { return truncate(name, size); }
EXPORT int fallocate(int fd, int mode, off_t at, off_t n) {
    int got = syscall(SYS_fallocate, fd, mode, at, n);
    struct stat of;
    if (!got && tracked(fd) && !fstat(fd, &of)) note(mode & ~FALLOC_FL_KEEP_SIZE ? 'X' : 'T', of.st_ino, 0, of.st_size, NULL, NULL, NULL, 0);
    return got;
}
EXPORT int fallocate64(int fd, int mode, off_t at, off_t n) { return fallocate(fd, mode, at, n); }
EXPORT int posix_fallocate(int fd, off_t at, off_t n) { return fallocate(fd, 0, at, n) ? errno : 0; }
EXPORT int posix_fallocate64(int fd, off_t at, off_t n) { return posix_fallocate(fd, at, n); }

/* Shared memory of a file: its content counts as written where it is synced or given back. */
static void *mapped(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
    void *got = (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
    if (got == MAP_FAILED || !tracked(fd) || !(flags & MAP_SHARED) || !(protection & PROT_WRITE)) return got;
    take();
    int slot = 0;
    while (slot < MAPS && maps[slot].at) slot++;
    if (slot < MAPS) maps[slot] = (struct map){got, n, inode_of(fd), offset};
    else note('X', 0, 0, 0, "mmap", "too many", NULL, 0);
    give();
    return got;
}
EXPORT void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) { return mapped(at, n, protection, flags, fd, offset); }
EXPORT void *mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset) { return mapped(at, n, protection, flags, fd, offset); }
static void note_map(void *at, int drop, int synced) {
    if (!folder_length) return;
    for (int i = 0; i < MAPS; i++) {
        if (!maps[i].at || maps[i].at != at) continue;
        take();
        if (now_dies()) die();
        struct iovec part = {maps[i].at, maps[i].length};
        note('W', maps[i].inode, maps[i].offset, maps[i].length, NULL, NULL, &part, 1);
        if (synced) note('S', maps[i].inode, 0, 0, NULL, NULL, NULL, 0);
        if (drop) maps[i].at = NULL;
        give();
    }
}
EXPORT int munmap(void *at, size_t n) { note_map(at, 1, 0); return syscall(SYS_munmap, at, n); }
EXPORT int msync(void *at, size_t n, int flags) {
    int got = syscall(SYS_msync, at, n, flags);
    if (!got) note_map(at, 0, flags & MS_SYNC);
    return got;
}

static int sync_fd(int fd, int number) {
    if (!tracked(fd)) return raw(number, fd, 0, 0, 0, 0);
    take();
    if (now_dies()) die();
    /* Nothing is lost here but what the replay loses, so the disk itself need not be waited for. */
    struct stat of;
    char path[PATH_MAX];
    if (!fstat(fd, &of)) {
        int dir = S_ISDIR(of.st_mode) && path_of_fd(fd, path);
        note(dir ? 'D' : 'S', of.st_ino, 0, 0, dir ? path : NULL, NULL, NULL, 0);
    }
    give();
    return 0;
}
EXPORT int fsync(int fd) { return sync_fd(fd, SYS_fsync); }
EXPORT int fdatasync(int fd) { return sync_fd(fd, SYS_fdatasync); }
EXPORT int syncfs(int fd) { if (tracked(fd)) note('Z', 0, 0, 0, NULL, NULL, NULL, 0); return syscall(SYS_syncfs, fd); }
EXPORT void sync(void) { if (folder_length) note('Z', 0, 0, 0, NULL, NULL, NULL, 0); syscall(SYS_sync); }

static int move(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    char one[PATH_MAX], two[PATH_MAX];
    int leaves = find(from_dir, from, one), comes = find(to_dir, to, two);
    if (!leaves && !comes) return raw(SYS_renameat2, from_dir, (long)from, to_dir, (long)to, flags);
    take();
    if (now_dies()) die();
    struct stat of;
    int known = !fstatat(from_dir, from, &of, AT_SYMLINK_NOFOLLOW);
    int got = raw(SYS_renameat2, from_dir, (long)from, to_dir, (long)to, flags);
    if (!got) note(leaves && comes && known && !(flags & ~RENAME_NOREPLACE) ? 'R' : 'X', of.st_ino, 0, 0,
                   leaves ? one : "from outside", comes ? two : "to outside", NULL, 0);
    give();
    return got;
}
EXPORT int rename(const char *from, const char *to) { return move(AT_FDCWD, from, AT_FDCWD, to, 0); }
EXPORT int renameat(int a, const char *from, int b, const char *to) { return move(a, from, b, to, 0); }
EXPORT int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return move(a, from, b, to, flags); }

static int tie(int a, const char *from, int b, const char *to, int flags) {
    char one[PATH_MAX], two[PATH_MAX];
    if (!find(b, to, two)) return syscall(SYS_linkat, a, from, b, to, flags);
    take();
    if (now_dies()) die();
    int got = syscall(SYS_linkat, a, from, b, to, flags);
    struct stat of;
    if (!got && !lstat(two, &of)) note(find(a, from, one) ? 'L' : 'X', of.st_ino, 0, 0, two, NULL, NULL, 0);
    give();
    return got;
}
EXPORT int link(const char *from, const char *to) { return tie(AT_FDCWD, from, AT_FDCWD, to, 0); }
EXPORT int linkat(int a, const char *from, int b, const char *to, int flags) { return tie(a, from, b, to, flags); }
EXPORT int symlinkat(const char *target, int dir, const char *name) {
    char path[PATH_MAX];
    int got = syscall(SYS_symlinkat, target, dir, name);
    if (!got && find(dir, name, path)) note('X', 0, 0, 0, path, "symlink", NULL, 0);
    return got;
}
EXPORT int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }

static int take_away(int dir, const char *name, int flags) {
    char path[PATH_MAX];
    if (!find(dir, name, path)) return raw(SYS_unlinkat, dir, (long)name, flags, 0, 0);
    take();
    if (now_dies()) die();
    int got = raw(SYS_unlinkat, dir, (long)name, flags, 0, 0);
    if (!got) note('U', 0, 0, 0, path, NULL, NULL, 0);
    give();
    return got;
}
EXPORT int unlink(const char *name) { return take_away(AT_FDCWD, name, 0); }
EXPORT int unlinkat(int dir, const char *name, int flags) { return take_away(dir, name, flags); }
EXPORT int rmdir(const char *name) { return take_away(AT_FDCWD, name, AT_REMOVEDIR); }
EXPORT int remove(const char *name) {
    struct stat of;
    return take_away(AT_FDCWD, name, !lstat(name, &of) && S_ISDIR(of.st_mode) ? AT_REMOVEDIR : 0);
}

static int make_dir(int dir, const char *name, mode_t mode) {
    char path[PATH_MAX];
    if (!find(dir, name, path)) return raw(SYS_mkdirat, dir, (long)name, mode, 0, 0);
    take();
    if (now_dies()) die();
    int got = raw(SYS_mkdirat, dir, (long)name, mode, 0, 0);
    struct stat of;
    if (!got && !lstat(path, &of)) note('M', of.st_ino, 0, 0, path, NULL, NULL, 0);
    give();
    return got;
}
EXPORT int mkdir(const char *name, mode_t mode) { return make_dir(AT_FDCWD, name, mode); }
EXPORT int mkdirat(int dir, const char *name, mode_t mode) { return make_dir(dir, name, mode); }

/* A call that did not come through libc. */
static void on_call(int signal, siginfo_t *of, void *context) {
    greg_t *at = ((ucontext_t *)context)->uc_mcontext.gregs;
    long a = at[REG_RDI], b = at[REG_RSI], c = at[REG_RDX], d = at[REG_R10], e = at[REG_R8], got = -1;
    int before = errno;
    (void)signal;
    errno = ENOSYS;
    switch (of->si_syscall) {
    case SYS_rename: got = rename((char *)a, (char *)b); break;
    case SYS_renameat: got = renameat(a, (char *)b, c, (char *)d); break;
    case SYS_renameat2: got = renameat2(a, (char *)b, c, (char *)d, e); break;
    case SYS_unlink: got = unlink((char *)a); break;
    case SYS_unlinkat: got = unlinkat(a, (char *)b, c); break;
    case SYS_rmdir: got = rmdir((char *)a); break;
    case SYS_mkdir: got = mkdir((char *)a, b); break;
    case SYS_mkdirat: got = mkdirat(a, (char *)b, c); break;
    case SYS_fsync: got = fsync(a); break;
    case SYS_fdatasync: got = fdatasync(a); break;
    }
    at[REG_RAX] = got < 0 ? -errno : got;
    errno = before;
}

EXPORT int flock(int fd, int operation) {
    if (lock_errno && tracked(fd)) {
        errno = lock_errno;
        return -1;
    }
    return syscall(SYS_flock, fd, operation);
}

/* The clock of the day. */
static int64_t wrong(void) { return clock_wrong ? *clock_wrong : 0; }
EXPORT int clock_gettime(clockid_t clock, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int got = real ? real(clock, out) : syscall(SYS_clock_gettime, clock, out);
    if (!got && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += wrong();
    return got;
}
EXPORT int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
EXPORT time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
/* Deadlines of the day's clock are compared with the kernel's, which is right; those of the clock
   since the start are small numbers. */
static struct timespec righted(const struct timespec *until) {
    struct timespec of = *until;
    if (of.tv_sec > 1000000000) of.tv_sec -= wrong();
    return of;
}
EXPORT int pthread_cond_timedwait(pthread_cond_t *restrict one, pthread_mutex_t *restrict lock, const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec of = righted(until);
    return real(one, lock, &of);
}
EXPORT int sem_timedwait(sem_t *restrict one, const struct timespec *restrict until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec of = righted(until);
    return real(one, &of);
}

/* The limit of exec and sandbox figures: a program for every job, from a small process,
   with pipes for stdin, stdout, stderr and messages, all read to their ends, and wait.

   "plain": posix_spawn (a vfork inside). "sandbox": clone3 with all namespaces, maps, the
   mounts of a small root, pivot_root, execve. Prints jobs a second, or with "p50" the
   median time of a job in microseconds. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMaxInFlight = 64, kIn = 200, kOut = 1024 };

struct job {
  pid_t pid;
  int out, err, messages;
  double begin;
};

static const char* program;
static char folder[PATH_MAX];
static char inside[PATH_MAX];
static int boxed;

static void die(const char* what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(int result, const char* what) {
  if (result == 0) return;
  perror(what);
  _exit(126);
}

static void write_file(const char* name, const char* text) {
  const int fd = open(name, O_WRONLY | O_CLOEXEC);
  must(fd < 0 || write(fd, text, strlen(text)) < 0, name);
  close(fd);
}

static void make_root(void) {
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
  must(mount("tmpfs", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m"), "root");
  must(mkdir("/mnt/usr", 0755) || mkdir("/mnt/proc", 0755) || mkdir("/mnt/tmp", 0755) ||
           mkdir("/mnt/program", 0755),
       "mkdir");
  must(mount("/usr", "/mnt/usr", NULL, MS_BIND | MS_REC, NULL), "/usr");
  must(mount(folder, "/mnt/program", NULL, MS_BIND | MS_REC, NULL), folder);
  must(mount(NULL, "/mnt/usr", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "ro");
  must(mount(NULL, "/mnt/program", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), "ro");
  must(mount("proc", "/mnt/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL),
       "proc");
  must(mount("tmpfs", "/mnt/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m"), "tmp");
  must(chdir("/mnt"), "chdir");
  must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(umount2(".", MNT_DETACH), "umount");
}

static pid_t start_boxed(const int ends[4], char* const argv[], char* const env[]) {
  static char uid_map[32], gid_map[32];
  snprintf(uid_map, sizeof uid_map, "0 %d 1", (int)geteuid());
  snprintf(gid_map, sizeof gid_map, "0 %d 1", (int)getegid());
  struct clone_args args = {0};
  args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
               CLONE_NEWUTS | CLONE_NEWCGROUP;
  args.exit_signal = SIGCHLD;
  const pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) die("clone3");
  if (pid > 0) return pid;
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", uid_map);
  write_file("/proc/self/gid_map", gid_map);
  make_root();
  for (int i = 0; i < 4; ++i) dup2(ends[i], i);
  execve(inside, argv, env);
  must(1, inside);
  return -1;
}

static pid_t start_plain(const int ends[4], char* const argv[], char* const env[]) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int i = 0; i < 4; ++i) posix_spawn_file_actions_adddup2(&actions, ends[i], i);
  pid_t pid;
  if (posix_spawn(&pid, program, &actions, NULL, argv, env)) die(program);
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

static void start(struct job* job) {
  job->begin = now();
  int in[2], out[2], err[2], messages[2];
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) ||
      pipe2(messages, O_CLOEXEC)) {
    die("pipe2");
  }
  const int ends[4] = {in[0], out[1], err[1], messages[1]};
  char* const argv[] = {(char*)program, NULL};
  char* const env[] = {NULL};
  job->pid = boxed ? start_boxed(ends, argv, env) : start_plain(ends, argv, env);
  for (int i = 0; i < 4; ++i) close(ends[i]);

  char bytes[kIn];
  memset(bytes, 'a', sizeof bytes);
  if (write(in[1], bytes, sizeof bytes) != sizeof bytes) die("write");
  close(in[1]);
  job->out = out[0], job->err = err[0], job->messages = messages[0];
}

static size_t read_all(int fd) {
  char bytes[4096];
  size_t total = 0;
  for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;) total += (size_t)got;
  close(fd);
  return total;
}

static double finish(struct job* job) {
  const size_t out = read_all(job->out);
  const size_t rest = read_all(job->err) + read_all(job->messages);
  int status;
  if (waitpid(job->pid, &status, 0) < 0) die("waitpid");
  if (status || out != kOut || rest) {
    fprintf(stderr, "status %d, %zu + %zu bytes\n", status, out, rest);
    exit(1);
  }
  return now() - job->begin;
}

static int compare(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

int main(int argc, char** argv) {
  const int in_flight = argc >= 4 ? atoi(argv[1]) : 0;
  if (in_flight < 1 || in_flight > kMaxInFlight) {
    fprintf(stderr, "usage: limit_spawn IN_FLIGHT JOBS PROGRAM [plain|sandbox] [p50]\n");
    return 2;
  }
  const long jobs = atol(argv[2]);
  program = argv[3];
  boxed = argc > 4 && strcmp(argv[4], "sandbox") == 0;
  char copy[PATH_MAX];
  if (realpath(program, folder) == NULL) die(program);
  strcpy(copy, folder);
  snprintf(inside, sizeof inside, "/program/%s", basename(copy));
  strcpy(folder, dirname(folder));

  struct job running[kMaxInFlight];
  double* took = calloc((size_t)jobs, sizeof *took);
  const double begin = now();
  for (long i = 0; i < jobs + in_flight; ++i) {
    struct job* slot = &running[i % in_flight];
    if (i >= in_flight) took[i - in_flight] = finish(slot);
    if (i < jobs) start(slot);
  }
  const double all = now() - begin;
  if (argc > 5) {
    qsort(took, (size_t)jobs, sizeof *took, compare);
    printf("%.6g\n", 1e6 * took[jobs / 2]);
  } else {
    printf("%.6g\n", (double)jobs / all);
  }
  return 0;
}

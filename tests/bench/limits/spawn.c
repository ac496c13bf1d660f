/* The limit of exec.rate: posix_spawn (a vfork inside) from a small process, pipes for
   stdin, stdout, stderr and messages, all read to their ends, wait. Prints jobs a
   second. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMaxInFlight = 64, kIn = 200, kOut = 1024 };

struct job {
  pid_t pid;
  int out, err, messages;
};

static void die(const char* what) {
  perror(what);
  exit(1);
}

static void start(struct job* job, const char* program) {
  int in[2], out[2], err[2], messages[2];
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) ||
      pipe2(messages, O_CLOEXEC)) {
    die("pipe2");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  posix_spawn_file_actions_adddup2(&actions, messages[1], 3);
  char* const argv[] = {(char*)program, NULL};
  char* const env[] = {NULL};
  if (posix_spawn(&job->pid, program, &actions, NULL, argv, env)) die(program);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]), close(out[1]), close(err[1]), close(messages[1]);

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

static void finish(struct job* job) {
  const size_t out = read_all(job->out);
  const size_t rest = read_all(job->err) + read_all(job->messages);
  int status;
  if (waitpid(job->pid, &status, 0) < 0) die("waitpid");
  if (status || out != kOut || rest) {
    fprintf(stderr, "status %d, %zu + %zu bytes\n", status, out, rest);
    exit(1);
  }
}

int main(int argc, char** argv) {
  const int in_flight = argc == 4 ? atoi(argv[1]) : 0;
  if (in_flight < 1 || in_flight > kMaxInFlight) {
    fprintf(stderr, "usage: limit_spawn IN_FLIGHT JOBS PROGRAM\n");
    return 2;
  }
  const long jobs = atol(argv[2]);
  struct job running[kMaxInFlight];
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (long i = 0; i < jobs + in_flight; ++i) {
    struct job* slot = &running[i % in_flight];
    if (i >= in_flight) finish(slot);
    if (i < jobs) start(slot, argv[3]);
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  const double took =
      (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
  printf("%.6g\n", (double)jobs / took);
  return 0;
}

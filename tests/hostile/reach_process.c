/* Reaches for the process argv[1], and for all of its user's. Nothing is changed where it
   can be reached. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char* what, long done) {
  printf("%s %s\n", what, done >= 0 ? "done" : strerrorname_np(errno));
}

int main(int argc, char** argv) {
  const pid_t pid = argc > 1 ? atoi(argv[1]) : 1;
  struct rlimit limit;
  say("prlimit", prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  say("affinity", sched_setaffinity(pid, sizeof set, &set));
  const struct sched_param plain = {0};
  say("scheduler", sched_setscheduler(pid, SCHED_OTHER, &plain));
  say("parameters", sched_setparam(pid, &plain));
  struct {
    unsigned size, policy;
    unsigned long flags;
    int nice;
    unsigned priority;
    unsigned long times[3];
  } attributes = {.size = 48};
  say("attributes", syscall(SYS_sched_setattr, pid, &attributes, 0));
  say("nice", setpriority(PRIO_PROCESS, pid, 0));
  say("nice_group", setpriority(PRIO_PGRP, getpgid(pid), 0));
  say("nice_user", setpriority(PRIO_USER, 0, 0));
  const int idle = 0; /* no class: as it is */
  say("io", syscall(SYS_ioprio_set, 1, pid, idle));
  say("io_group", syscall(SYS_ioprio_set, 2, getpgid(pid), idle));
  say("io_user", syscall(SYS_ioprio_set, 3, 0, idle));
  say("compare", syscall(SYS_kcmp, getpid(), pid, 0, 0, 0));
  void* list;
  size_t size;
  say("robust_list", syscall(SYS_get_robust_list, pid, &list, &size));
  say("ptrace", syscall(SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, pid, 0, 0));
  return 0;
}

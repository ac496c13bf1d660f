// How the engine makes its own threads: named, and with every signal blocked, so that a
// signal for the host is never handled on one of them.
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace carrel {

// `name`: at most 15 bytes, shown by ps, top and /proc.
template <class F>
std::thread named_thread(const char* name, F f) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the new thread inherits it
  std::thread thread(std::move(f));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace carrel

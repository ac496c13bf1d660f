// How the engine makes its own threads: named, and with every signal blocked but those of
// faults, as far as whoever makes them has them open: what is sent to the host is handled
// on its own threads, and a host that handles faults handles those of its handlers too.
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace carrel {

// `name`: at most 15 bytes, shown by ps, top and /proc. Throws what std::thread does.
template <class F>
std::thread named_thread(const char* name, F f) {
  struct Blocked {
    sigset_t before;
    Blocked() {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, nullptr, &before);
      for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
        if (sigismember(&before, fault) == 0) sigdelset(&all, fault);
      }
      pthread_sigmask(SIG_SETMASK, &all, nullptr);
    }
    ~Blocked() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
  };
  std::thread thread;
  {
    const Blocked inherited;
    thread = std::thread(std::move(f));
  }
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace carrel

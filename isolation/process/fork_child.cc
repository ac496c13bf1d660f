#include "fork_child.h"

#include <sched.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "child_pipe.h"
#include "frame.h"
#include "inbox.h"
#include "os.h"
#include "outcome.h"
#include "wire.h"
#include "wording.h"

namespace carrel::process {
namespace {

// Whether it ever had a child of its own: if so, its end is to be waited for, since what
// is left of them is killed then.
bool had_children() {
  siginfo_t info;
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0) return true;
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  if (usage.ru_minflt != 0) return true;
  // Where ends are ignored, nothing is left of a child that has ended.
  struct sigaction action {};
  sigaction(SIGCHLD, nullptr, &action);
  return action.sa_handler != SIG_DFL || (action.sa_flags & SA_NOCLDWAIT) != 0;
}

// Of this process and of the children that it waited for, since it was born.
DoneNote used_so_far() {
  DoneNote note;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    note.cpu_us += microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    note.max_rss_kib =
        std::max(note.max_rss_kib, static_cast<std::uint64_t>(usage.ru_maxrss));
  }
  return note;
}

// As it wakes for its next job, it leaves the processor to whoever gave it that, and has
// others to give out: each hand that is interrupted costs two switches a job, and a
// sixth of their rate. Where the host has said how its jobs are to be scheduled,
// it stays so.
void give_way() {
  const sched_param none{};
  if (sched_getscheduler(0) == SCHED_OTHER) sched_setscheduler(0, SCHED_BATCH, &none);
}

class Child {
 public:
  Child(const Handlers& handlers, int socket)
      : handlers_(handlers), socket_(socket), inbox_(socket) {}

  // What the host wants done in each child before it has a job. A failure is the
  // answer to its first job: nobody listens yet.
  void prepare() {
    try {
      for (const auto& hook : handlers_.after_fork_hooks()) hook();
    } catch (const std::exception& e) {
      unprepared_ = std::string("an after_fork_child hook failed: ").append(what_of(e));
    } catch (...) {
      unprepared_ =
          "an after_fork_child hook failed with something that is no std::exception";
    }
  }

  bool has_job() const {
    char byte = 0;
    return recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

  // False: no other job is to follow.
  bool serve() {
    Inbox::Next next;
    if (!inbox_.next(next)) return false;
    if (next.head.again && !base_) {
      give_way();
      base_ = used_so_far();
    }
    ForkJob job;
    Reader in(next.body);
    if (!decode(in, job)) _exit(125);  // cannot be: the host encoded it
    ChildPipe pipe(socket_, next.head.run, job.result_bytes, next.stopped);
    // One message takes no more than a file; what followed that is in the next.
    const bool stopped = next.stopped || (next.head.in_file && pipe.stopping());
    const Outcome outcome = stopped ? stopped_before() : perform(job, pipe);
    flush_printed();
    const auto done = account(next.head);
    pipe.finish(outcome, done);
    return next.head.again && done;
  }

  // Touches what a job will: the pages are its own by then.
  void make_ready() {
    const Handler handler = [](Context& job) { return job.args(); };
    ForkJob job;
    job.job.payload = R"({"a": ["b", 1, 2.5, null, true]})";
    ChildPipe pipe(socket_, 0, 1024, false);
    Context context(job.job, pipe);
    outcome_of(invoke(handler, context), 1024, std::nullopt);
    flush_printed();
  }

 private:
  // What the handler printed is its own; other streams belong to the host.
  static void flush_printed() {
    for (std::FILE* stream : {stdout, stderr}) {
      if (__fpending(stream) > 0) std::fflush(stream);  // a look costs no page of its own
    }
  }

  // What it is called is known to who stopped it.
  static Outcome stopped_before() {
    return failure(OutcomeClass::kCancelled,
                   {Code::kCancelled, "it was stopped before it began", "fork"});
  }

  Outcome perform(const ForkJob& job, ChildPipe& pipe) {
    if (!unprepared_.empty()) {
      return failure(OutcomeClass::kFailed, {Code::kFailed, unprepared_, "fork"});
    }
    const Handler* handler = handlers_.find(job.job.kind);
    if (handler == nullptr) {
      return failure(
          OutcomeClass::kFailed,
          {Code::kInvalid,
           "the process server has no handler for the kind \"" + job.job.kind + "\"",
           "fork"});
    }
    Context context(job.job, pipe, job.deadline, job.kept, job.result_bytes);
    return outcome_of(invoke(*handler, context), job.result_bytes, std::nullopt);
  }

  // Nothing: its end says more, or it has grown too large for another job.
  std::optional<DoneNote> account(const JobHead& head) {
    if (!head.again && had_children()) return {};
    const DoneNote now = used_so_far();
    if (!base_) return now;
    if (head.again && (now.max_rss_kib - base_->max_rss_kib) * 1024 > head.most_memory)
      return {};
    return DoneNote{now.cpu_us - std::exchange(base_->cpu_us, now.cpu_us),
                    now.max_rss_kib};
  }

  const Handlers& handlers_;
  const int socket_;
  Inbox inbox_;
  std::string unprepared_;
  std::optional<DoneNote> base_;  // before the first job, and what they have used since
};

}  // namespace

void run_here(const Handlers& handlers, int socket) {
  int signal = 0;
  prctl(PR_GET_PDEATHSIG, &signal);
  getppid();
  close_range(~0U, ~0U, 0);
  Child child(handlers, socket);
  if (child.has_job()) child.serve();
}

void run_forked_child(const Handlers& handlers, int socket) noexcept {
  Child child(handlers, socket);  // dies with the process
  child.prepare();
  if (!child.has_job()) child.make_ready();
  while (child.serve()) {
  }
  // An address that is taken was bound when the program was loaded; a plain call would
  // send every child to the dynamic linker once more.
  void (*const volatile leave)(int) = _exit;
  leave(0);
  __builtin_unreachable();
}

}  // namespace carrel::process

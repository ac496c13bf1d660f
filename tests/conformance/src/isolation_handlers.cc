// The handlers that the isolation suite runs. In a fork isolation they live in another
// process, so all that they need comes in their arguments.
#include <carrel/conformance/isolation.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <stdexcept>

#include "isolation_case.h"

namespace carrel::conformance {
namespace {

// Until the job is asked to stop.
void wait_for_stop(Context& job) {
  std::mutex mutex;
  std::condition_variable_any asked;
  std::unique_lock lock(mutex);
  asked.wait(lock, job.stop(), [] { return false; });
}

Result<Json> tell(Context& job) {
  const Claimed& c = job.job();
  return Json{
      {"id", value(c.lease.id)},    {"fence", value(c.lease.fence)},
      {"queue", c.queue},           {"kind", c.kind},
      {"attempt", job.attempt()},   {"max_attempts", c.max_attempts},
      {"priority", c.priority},     {"checkpoint", c.checkpoint},
      {"args", job.args()},         {"limited", job.remaining() != Duration::max()},
      {"stopping", job.stopping()}, {"kept", job.kept().count()}};
}

Result<Json> talk(Context& job) {
  for (int i = 1; i <= 4; ++i) {
    const std::string n = std::to_string(i);
    job.progress(static_cast<float>(i) / 4, "step " + n + " «ä»");
    job.log("line " + n);
    job.checkpoint(std::string("at\0", 3) + n);
  }
  job.progress(7);  // clamped
  return Json("said");
}

// Shut until somebody opens it, then shut again for the next run.
class Gate {
 public:
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
    open_ = false;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

Gate& gate() {
  static Gate one;
  return one;
}

}  // namespace

void open_gate() { gate().open(); }

Handlers conformance_handlers() {
  Handlers h;
  h.handle("conformance.echo", [](Context& job) -> Result<Json> { return job.args(); });
  h.handle("conformance.tell", tell);
  h.handle("conformance.nothing", [](Context&) {});
  h.handle("conformance.bytes", [](Context& job) {
    return std::string(job.args().at("n").get<std::size_t>(), 'x');
  });
  h.handle("conformance.not_utf8",
           [](Context&) -> Result<Json> { return Json("bad \xff byte"); });
  h.handle("conformance.error", [](Context& job) -> Result<Json> {
    return Context::error(job.args().at("say"));
  });
  h.handle("conformance.throw_std", [](Context&) -> Result<Json> {
    throw std::runtime_error("thrown on purpose «ü»");
  });
  h.handle("conformance.throw_int", [](Context&) -> Result<Json> { throw 42; });
  h.handle("conformance.snooze",
           [](Context&) -> Result<Json> { return Context::snooze(90s); });
  h.handle("conformance.discard",
           [](Context&) -> Result<Json> { return Context::discard("no such user"); });
  h.handle("conformance.retry_in", [](Context&) -> Result<Json> {
    return Context::retry_in(30s, "rate limited");
  });
  h.handle("conformance.talk", talk);
  h.handle("conformance.heed_stop", [](Context& job) -> Result<Json> {
    job.progress(0, "begun");
    wait_for_stop(job);
    return Context::error(job.stopping() ? "stopped" : "woken without a reason");
  });
  h.handle("conformance.finish_on_stop", [](Context& job) -> Result<Json> {
    job.progress(0, "begun");
    wait_for_stop(job);
    return Json("done all the same");
  });
  // Only an isolation of threads runs this one.
  h.handle("conformance.gate", [](Context& job) {
    job.progress(0, "begun");
    gate().wait();
  });
  // Only an isolation that can kill runs these two.
  h.handle("conformance.never_ends", [](Context& job) -> Result<Json> {
    job.progress(0, "begun");
    for (;;) pause();
  });
  h.handle("conformance.ignore_term", [](Context& job) -> Result<Json> {
    std::signal(SIGTERM, SIG_IGN);
    job.progress(0, "begun");
    for (;;) pause();
  });
  // Only an isolation that contains crashes runs these.
  h.handle("conformance.abort", [](Context&) -> Result<Json> { std::abort(); });
  h.handle("conformance.segv", [](Context&) -> Result<Json> {
    std::signal(SIGSEGV, SIG_DFL);  // a sanitizer's own handler would print and exit
    raise(SIGSEGV);
    return Json();
  });
  h.handle("conformance.exit", [](Context&) -> Result<Json> { _exit(0); });
  return h;
}

}  // namespace carrel::conformance

#include "child_run.h"

#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/steady_timer.hpp>
#include <cstring>
#include <vector>

#include "channel.h"
#include "outcome.h"

namespace carrel::process {
namespace {

// How often a child that outlives its server is looked at.
constexpr auto kLook = std::chrono::milliseconds(1);

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

void Port::close() noexcept {
  fd_.reset();
  if (!watched_) return;
  boost::system::error_code ignored;
  watched_->close(ignored);
  watched_.reset();
}

ChildRun::ChildRun(Task task, const std::shared_ptr<Channel>& channel)
    : job_(std::move(task.job)),
      limits_(task.limits),
      context_(channel->context()),
      number_(next_number()),
      channel_(channel),
      sink_(std::move(task.sink)) {}

void ChildRun::request_stop(StopReason reason) noexcept {
  int none = -1;
  if (over_ || !stop_reason_.compare_exchange_strong(none, static_cast<int>(reason)))
    return;
  later([self = shared_from_this()] {
    if (!self->over_) self->ask_to_stop();
  });
}

bool ChildRun::terminate() noexcept {
  if (over_) return true;
  forced_ = true;
  signal(SIGTERM, true);
  return true;
}

bool ChildRun::kill() noexcept {
  if (over_) return true;
  forced_ = true;
  signal(SIGKILL, true);
  return true;
}

void ChildRun::signal(int number, bool group) noexcept {
  if (const auto channel = channel_.lock()) channel->signal(*this, number, group);
}

void ChildRun::kill_left() noexcept {
  if (const auto channel = channel_.lock()) channel->kill(number_);
}

std::span<char> ChildRun::scratch() {
  constexpr std::size_t kScratch = 64 * 1024;
  thread_local std::vector<char> buffer(kScratch);
  return buffer;
}

struct ChildRun::LastWait {
  boost::asio::steady_timer timer;
  std::chrono::steady_clock::time_point until;
};

// The server's end is heard of before the kernel, and the keeper, have ended what it
// leaves; and with the run its place goes to another job of its key.
void ChildRun::lost() {
  see_off(std::make_shared<LastWait>(LastWait{boost::asio::steady_timer(context_),
                                              std::chrono::steady_clock::now() + kGone}));
}

void ChildRun::see_off(const std::shared_ptr<LastWait>& wait) {
  if (over()) return;
  if (is_held() && std::chrono::steady_clock::now() < wait->until) {
    wait->timer.expires_after(kLook);
    wait->timer.async_wait(
        [self = shared_from_this(), wait](const boost::system::error_code& error) {
          if (!error) self->see_off(wait);
        });
    return;
  }
  Outcome outcome;
  outcome.klass = OutcomeClass::kWorkerLost;
  outcome.error = {Code::kFailed,
                   "the process server died, and this job's process with it", "process"};
  finish(std::move(outcome));
}

void ChildRun::refuse(OutcomeClass klass, Error error) {
  Outcome outcome;
  outcome.klass = klass;
  outcome.error = std::move(error);
  finish(std::move(outcome));
}

void ChildRun::finish(Outcome outcome) {
  if (over_.exchange(true)) return;
  release();
  outcome.usage.wall =
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - started_);
  const auto sink = std::move(sink_);
  if (!abandoned_) sink->on_end(std::move(outcome));
}

Outcome ChildRun::outcome_from(const Reply& reply) const {
  Outcome outcome;
  outcome.usage.cpu = Duration{reply.cpu_us};
  outcome.usage.max_rss_bytes = reply.max_rss_kib * 1024;
  if (reply.what != Reply::What::kEnded) return outcome;
  if (WIFSIGNALED(reply.status)) outcome.signal = WTERMSIG(reply.status);
  if (WIFEXITED(reply.status)) outcome.exit_code = WEXITSTATUS(reply.status);
  outcome.leftover_killed = (reply.force & Reply::kLeftovers) != 0;
  return outcome;
}

std::optional<StopReason> ChildRun::stop_reason() const noexcept {
  const int reason = stop_reason_.load();
  if (reason < 0) return std::nullopt;
  return static_cast<StopReason>(reason);
}

std::optional<OutcomeClass> ChildRun::asked_class() const noexcept {
  if (const auto reason = stop_reason()) return class_of(*reason);
  if (forced_) return OutcomeClass::kCancelled;
  return std::nullopt;
}

std::string ChildRun::asked_text() const {
  switch (stop_reason().value_or(StopReason::kCancel)) {
    case StopReason::kTimeout:
      return "ended because it was past its time";
    case StopReason::kShutdown:
      return "ended because its worker shut down";
    case StopReason::kCancel:
      break;
  }
  return "ended because it was cancelled";
}

void ChildRun::kill_for(OutcomeClass klass, Error error) {
  if (verdict_) return;
  verdict_.emplace();
  verdict_->klass = klass;
  verdict_->error = std::move(error);
  signal(SIGKILL, true);
}

std::string signal_text(int signal) {
  const char* name = sigdescr_np(signal);
  return std::string(name != nullptr ? name : "unknown") + " (signal " +
         std::to_string(signal) + ")";
}

}  // namespace carrel::process

#include "thread_run.h"

#include <utility>

#include "outcome.h"
#include "thread_pool.h"

namespace carrel {

void ThreadRun::execute(const Hand& rest, Clock::time_point& now) noexcept {
  started_ = now;
  int expected = kQueued;
  if (!phase_.compare_exchange_strong(expected, kRunning)) return;
  sink_->on_start();
  std::optional<Clock::time_point> deadline;
  if (limits_.wall.count() > 0) deadline = started_ + limits_.wall;
  Context context(*job_, *this, deadline, kind_.kept, limits_.result_bytes);
  auto answer = invoke(kind_.handler, context);
  Outcome outcome = outcome_of(std::move(answer), limits_.result_bytes, stop_reason());
  now = Clock::now();
  outcome.usage.wall = std::chrono::duration_cast<Duration>(now - started_);
  expected = kRunning;
  if (phase_.compare_exchange_strong(expected, kEnded)) {
    if (!rest.empty()) sink_->expect_more_ends();
    sink_->on_end(std::move(outcome));
  }
  sink_.reset();  // the sink holds this run: the circle ends here
}

void ThreadRun::request_stop(StopReason reason) noexcept {
  int none = -1;
  if (!stop_reason_.compare_exchange_strong(none, static_cast<int>(reason))) return;
  if (end_unbegun(
          failure(class_of(reason), {Code::kCancelled, "stopped before it began"}))) {
    return;
  }
  std::stop_source source{std::nostopstate};
  {
    std::lock_guard lock(stop_mutex_);
    source = stop_source_;
  }
  if (source.stop_possible()) pool_.tell_stop(std::move(source));
}

void ThreadRun::set_aside(Duration pause, std::string why) noexcept {
  end_unbegun(failure(OutcomeClass::kSnoozed,
                      {Code::kSnoozed, std::move(why), "thread", 0, pause}));
}

// It may stand in its line for long after that, and keeps nothing of its job there.
bool ThreadRun::end_unbegun(Outcome&& outcome) noexcept {
  int queued = kQueued;
  if (!phase_.compare_exchange_strong(queued, kEnded)) return false;
  const auto job = std::move(job_);
  const auto sink = std::move(sink_);
  sink->on_end(std::move(outcome));
  return true;
}

std::optional<Duration> ThreadRun::try_abandon() noexcept {
  int running = kRunning;
  if (!phase_.compare_exchange_strong(running, kAbandoned)) return {};
  return std::chrono::duration_cast<Duration>(Clock::now() - started_);
}

Duration ThreadRun::abandon() noexcept { return pool_.abandon(*this); }

std::optional<StopReason> ThreadRun::stop_reason() const noexcept {
  const int reason = stop_reason_.load();
  if (reason < 0) return std::nullopt;
  return static_cast<StopReason>(reason);
}

void ThreadRun::progress(float fraction, std::string_view message) {
  sink_->on_progress(fraction, message);
}
void ThreadRun::checkpoint(std::string_view bytes) { sink_->on_checkpoint(bytes); }
void ThreadRun::log(std::string_view line) { sink_->on_log(line); }

std::stop_token ThreadRun::stop() {
  std::lock_guard lock(stop_mutex_);
  if (!stop_source_.stop_possible()) {
    stop_source_ = std::stop_source();
    // The request came before the source was there, and before anybody could listen.
    if (stopping()) stop_source_.request_stop();
  }
  return stop_source_.get_token();
}

}  // namespace carrel

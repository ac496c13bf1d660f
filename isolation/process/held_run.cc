#include "held_run.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "outcome.h"

namespace carrel::process {
namespace {

// As the engine sees an isolation that refuses a task; and what only a sandbox says.
OutcomeClass class_of(const Error& error) {
  switch (error.code) {
    case Code::kUnavailable:
      return OutcomeClass::kResourceError;
    case Code::kUnsupported:
      return OutcomeClass::kSandboxUnavailable;
    default:
      return OutcomeClass::kFailed;
  }
}

}  // namespace

HeldRun::HeldRun(Task task, boost::asio::io_context& context,
                 std::weak_ptr<const void> owner)
    : context_(context), owner_(std::move(owner)), task_(std::move(task)) {}

std::optional<Task> HeldRun::begin() {
  std::lock_guard lock(mutex_);
  if (task_) sink_ = task_->sink;
  return std::exchange(task_, std::nullopt);
}

void HeldRun::began(std::shared_ptr<Run> run) {
  std::optional<StopReason> stop;
  bool terminated = false;
  bool killed = false;
  bool abandoned = false;
  {
    std::lock_guard lock(mutex_);
    sink_.reset();
    run_ = run;
    stop = stop_;
    terminated = terminated_;
    killed = killed_;
    abandoned = abandoned_;
  }
  if (abandoned) run->abandon();
  if (stop) run->request_stop(*stop);
  if (terminated) run->terminate();
  if (killed) run->kill();
}

void HeldRun::refused(Error error) {
  std::shared_ptr<RunSink> sink;
  {
    std::lock_guard lock(mutex_);
    sink = std::move(sink_);
    if (abandoned_) return;
  }
  const OutcomeClass klass = class_of(error);
  sink->on_end(failure(klass, std::move(error)));
}

template <class Note>
std::shared_ptr<Run> HeldRun::begun_or(Note note) {
  std::lock_guard lock(mutex_);
  if (!run_) note();
  return run_;
}

void HeldRun::request_stop(StopReason reason) noexcept {
  const auto run = begun_or([&] {
    if (!stop_) stop_ = reason;
  });
  if (run) return run->request_stop(reason);
  stop_waiting();
}

bool HeldRun::terminate() noexcept {
  if (const auto run = begun_or([this] { terminated_ = true; })) return run->terminate();
  stop_waiting();
  return true;
}

bool HeldRun::kill() noexcept {
  if (const auto run = begun_or([this] { killed_ = true; })) return run->kill();
  stop_waiting();
  return true;
}

Duration HeldRun::abandon() noexcept {
  const auto run = begun_or([this] {
    abandoned_ = true;
    task_.reset();
  });
  return run ? run->abandon() : Duration{0};
}

// Not here: who asks may hold a lock that its end needs.
void HeldRun::stop_waiting() {
  if (owner_.expired()) return;
  boost::asio::post(context_, [self = shared_from_this(), this] {
    std::optional<Task> task;
    StopReason reason;
    {
      std::lock_guard lock(mutex_);
      task.swap(task_);
      reason = stop_.value_or(StopReason::kCancel);
    }
    if (!task) return;
    const Code code = reason == StopReason::kTimeout ? Code::kTimeout : Code::kCancelled;
    task->sink->on_end(failure(carrel::class_of(reason),
                               {code, "it was stopped before it began", "process"}));
  });
}

}  // namespace carrel::process

#include "active_run.h"

#include <algorithm>

#include "finish.h"
#include "outcome.h"
#include "runner.h"

namespace carrel {
namespace {
constexpr std::size_t kMaxMessage = 1024;
constexpr std::size_t kMaxLogLine = 4096;
constexpr std::size_t kMaxLogPending = 16 * 1024;  // what the store keeps of it anyway

bool take_step(Run& run, Rung step) noexcept {
  return step == Rung::kKill ? run.kill() : run.terminate();
}

Outcome out_of_time() {
  return failure(
      OutcomeClass::kTimeoutAbandoned,
      {Code::kTimeout, "out of time, and its thread did not heed the stop request"});
}

}  // namespace

void ActiveRun::on_start() noexcept {
  begin();
  if (!timed_) return;
  // The end waits for this lock: an abandoned thread meets no ladder that is gone.
  std::lock_guard lock(mutex_);
  if ((marks_.fetch_or(kSeen) & kEnded) == 0) runner_.began(*this);
}

Progress as_progress(float fraction, std::string_view message) {
  // NaN compares false and becomes 0.
  return {fraction > 0 ? std::min(fraction, 1.0F) : 0.0F,
          std::string(cut_message(message, kMaxMessage))};
}

std::string_view as_log_line(std::string_view line) noexcept {
  return cut_message(line, kMaxLogLine);
}

void ActiveRun::on_progress(float fraction, std::string_view message) noexcept {
  Progress progress = as_progress(fraction, message);
  if (on_progress_) {
    std::lock_guard lock(telling_);
    if (ended()) return;
    (*on_progress_)(job, progress);
  }
  bool given_up = false;
  {
    std::lock_guard lock(mutex_);
    fresh_news().progress = std::move(progress);
    given_up = given_up_;
  }
  if (given_up) abandon(out_of_time());
}

std::optional<std::string> refused_checkpoint(std::size_t bytes, std::uint64_t most) {
  if (most == 0 || bytes <= most) return std::nullopt;
  return "carrel: a checkpoint of " + std::to_string(bytes) +
         " bytes was not kept; this store takes " + std::to_string(most);
}

void ActiveRun::on_checkpoint(std::string_view bytes) noexcept {
  std::lock_guard lock(mutex_);
  if (const auto refused = refused_checkpoint(bytes.size(), max_checkpoint_)) {
    add_line(*refused);
  } else {
    fresh_news().checkpoint = std::string(bytes);
  }
}

void ActiveRun::on_log(std::string_view line) noexcept {
  std::lock_guard lock(mutex_);
  add_line(line);
}

void ActiveRun::add_line(std::string_view line) {
  std::string& log = fresh_news().log;
  if (log.size() > 2 * kMaxLogPending) {  // the newest lines are the ones to keep
    const auto cut = log.find('\n', log.size() - kMaxLogPending);
    log.erase(0, cut == std::string::npos ? log.size() : cut + 1);
  }
  log.append(as_log_line(line));
  log += '\n';
}

void ActiveRun::on_end(Outcome end) noexcept { end_once(std::move(end), false); }

void ActiveRun::abandon(Outcome end) noexcept { end_once(std::move(end), true); }

void ActiveRun::give_up() noexcept {
  {
    // Before it is tried, as whoever tells looks at it afterwards: one of them does it.
    std::lock_guard lock(mutex_);
    given_up_ = true;
  }
  std::unique_lock told(telling_, std::defer_lock);
  if (on_progress_ && !told.try_lock()) return;
  const std::uint8_t before = mark_ended(true);
  if (told.owns_lock()) told.unlock();
  if ((before & kEnded) == 0) end_as(before, out_of_time(), true);
}

// The marks until then. Once it has ended nothing is added.
std::uint8_t ActiveRun::mark_ended(bool abandoned) noexcept {
  const std::uint8_t ended = abandoned ? kEnded | kAbandoned : kEnded;
  std::uint8_t before = marks_.load();
  while ((before & kEnded) == 0 &&
         !marks_.compare_exchange_weak(before, before | ended)) {
  }
  return before;
}

void ActiveRun::end_once(Outcome&& end, bool abandoned) noexcept {
  const std::uint8_t before = mark_ended(abandoned);
  if ((before & kEnded) != 0) return;
  if (on_progress_) {
    std::lock_guard told(telling_);
  }
  end_as(before, std::move(end), abandoned);
}

// By whoever ended it. `before`: the marks until then.
void ActiveRun::end_as(std::uint8_t before, Outcome&& end, bool abandoned) noexcept {
  std::shared_ptr<Run> run;
  {
    std::unique_lock lock(mutex_, std::defer_lock);
    if ((before & kSeen) != 0) lock.lock();
    // The isolation's side holds this sink: the circle ends here.
    if ((before & kAttached) != 0) run.swap(run_);
  }
  if (abandoned && run) end.usage.wall = run->abandon();
  wall = end.usage.wall;
  if (!is_plain(end)) outcome.emplace(std::move(end));
  runner_.ended(*this);
}

const Outcome& ActiveRun::known_outcome() const noexcept {
  static const Outcome plain;
  return outcome ? *outcome : plain;
}

Outcome& ActiveRun::whole_outcome() {
  if (!outcome) outcome.emplace().usage.wall = wall;
  return *outcome;
}

void ActiveRun::attach(std::shared_ptr<Run> run) noexcept {
  run_ = std::move(run);
  const std::uint8_t before = marks_.fetch_or(kAttached);
  if ((before & kEnded) != 0) {  // it ended before, and nobody else looks at it
    if ((before & kAbandoned) != 0) run_->abandon();
    run_.reset();
    return;
  }
  if ((before & kSeen) == 0) return;
  // What was asked for before this found no handle.
  std::shared_ptr<Run> attached;
  Rung asked;
  {
    std::lock_guard lock(mutex_);
    attached = run_;
    asked = climbed_;
  }
  if (!attached) return;
  if (const auto reason = stop_reason()) attached->request_stop(*reason);
  if (asked > Rung::kStop) take_step(*attached, asked);
}

bool ActiveRun::climb(Rung step) noexcept {
  std::shared_ptr<Run> run;
  {
    std::lock_guard lock(mutex_);
    const std::uint8_t marks = marks_.fetch_or(kSeen);
    if ((marks & kEnded) != 0) return false;
    if (kind.traits.can_kill) climbed_ = std::max(climbed_, step);
    if ((marks & kAttached) == 0) return kind.traits.can_kill;
    run = run_;
  }
  return take_step(*run, step);
}

bool ActiveRun::stop(StopReason reason) noexcept {
  int none = -1;
  if (!stop_.compare_exchange_strong(none, static_cast<int>(reason))) return false;
  std::shared_ptr<Run> run;
  {
    std::lock_guard lock(mutex_);
    const std::uint8_t marks = marks_.fetch_or(kSeen);
    if ((marks & kEnded) == 0) climbed_ = std::max(climbed_, Rung::kStop);
    if ((marks & (kAttached | kEnded)) == kAttached) run = run_;
  }
  if (run) run->request_stop(reason);
  return true;
}

std::optional<StopReason> ActiveRun::stop_reason() const noexcept {
  const int reason = stop_.load();
  if (reason < 0) return std::nullopt;
  return static_cast<StopReason>(reason);
}

bool ActiveRun::terminate() noexcept { return climb(Rung::kTerm); }

bool ActiveRun::kill() noexcept { return climb(Rung::kKill); }

Beat& ActiveRun::fresh_news() {
  has_news_ = true;
  if (!news_) news_ = std::make_unique<Beat>();
  return *news_;
}

void ActiveRun::take_news(Beat& news) {
  has_news_ = false;
  if (!news_) return;  // another look came first
  news.progress = std::move(news_->progress);
  news.checkpoint = std::move(news_->checkpoint);
  news.log = std::move(news_->log);
  news_.reset();
}

void ActiveRun::send_news(Beat& beat) {
  if (!has_news_.load()) return;
  std::lock_guard lock(mutex_);
  if (ended()) return;
  beating_ = true;  // before has_news_ says no: waits_for_beat() looks without the lock
  take_news(beat);
}

bool ActiveRun::news_sent(Beat* failed) {
  if (!beating_.load()) return false;
  std::lock_guard lock(mutex_);
  if (failed != nullptr) {
    Beat& news = fresh_news();
    if (!news.progress) news.progress = std::move(failed->progress);
    if (!news.checkpoint) news.checkpoint = std::move(failed->checkpoint);
    news.log.insert(0, failed->log);
  }
  beating_ = false;
  return std::exchange(end_waits_, false);
}

bool ActiveRun::waits_for_beat() {
  if (!has_news_.load() && !beating_.load()) return false;  // in this order
  std::lock_guard lock(mutex_);
  return end_waits_ = beating_.load();
}

void ActiveRun::last_news(Beat& news) {
  if (!has_news_.load()) return;
  std::lock_guard lock(mutex_);
  take_news(news);
}

}  // namespace carrel

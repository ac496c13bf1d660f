#include "pulse.h"

#include <algorithm>

#include "lease_time.h"
#include "threads.h"

namespace carrel {

PulseLoop::PulseLoop(Store& store, Feed& feed, Runner& runner, Reactor& reactor,
                     Setup setup, StoreStatus& status, Totals& totals, LogFn log)
    : store_(store),
      feed_(feed),
      runner_(runner),
      setup_(std::move(setup)),
      status_(status),
      totals_(totals),
      log_(std::move(log)),
      // A tenth is for the way to the store.
      period_(std::max(setup_.beat * 9 / 10, Duration{1})),
      guard_(reactor, setup_.lease, [this] { end_fenced(); }) {}

PulseLoop::~PulseLoop() { stop(); }

void PulseLoop::start() {
  thread_ = named_thread("carrel-pulse", [this] { work(); });
}

void PulseLoop::work() {
  auto next = std::chrono::steady_clock::now() + period_;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_until(lock, next, [&] { return stopping_; })) {
    next = std::chrono::steady_clock::now();
    lock.unlock();
    next += tick();
    lock.lock();
  }
}

Duration PulseLoop::tick() {
  const Duration now = boot_time();
  feed_.tend();
  if (feed_.take_lost()) lost_until_ = now + setup_.lease;
  // Read before the leases: what a settled claim gave is among them, or was committed
  // since.
  const std::uint64_t settled = feed_.settled();
  const auto runs = runner_.leases();
  Isolation* tended = nullptr;
  for (const auto& run : runs) {
    if (run->kind.isolation == tended) continue;
    tended = run->kind.isolation;
    tended->tend();
  }
  if (runs.empty() && now >= lost_until_) {
    status_.answered(StoreCall::kBeat, false);  // nothing of it is left to complain of
    return period_;
  }
  std::vector<Beat> beats(runs.size());
  Duration oldest = now;
  for (const auto& run : runs) {
    oldest = std::min(oldest, run->passed_over ? renewal_ : run->renewed.load());
  }
  const bool renew = std::exchange(renews_late_, false) || status_.doubted() ||
                     now - oldest >= setup_.lease / 3 - setup_.beat;
  bool writes = renew;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Beat& beat = beats[i];
    beat.lease = runs[i]->job.lease;
    runs[i]->send_news(beat);
    writes = writes || beat.progress || beat.checkpoint || !beat.log.empty();
  }
  const auto answers = store_.beat(setup_.worker, settled, beats, renew, setup_.lease);
  if (!answers) {
    status_.failed(StoreCall::kBeat, answers.error());
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (runs[i]->news_sent(&beats[i])) runner_.end_on(*runs[i]);
    }
    end_fenced();
    return period_;
  }
  status_.answered(StoreCall::kBeat, writes);
  return take(runs, beats, *answers, renew, now);
}

Duration PulseLoop::take(const std::vector<Runner::RunPtr>& runs,
                         std::vector<Beat>& beats, const std::vector<Pulse>& answers,
                         bool renew, Duration now) {
  if (renew) renewal_ = now;
  Duration next = period_;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    ActiveRun& run = *runs[i];
    const bool held = answers[i] == Pulse::kHeld;
    const bool stale = answers[i] == Pulse::kStale;
    const bool passed_over = run.passed_over;
    if (renew && !held) run.renewed = now;
    if (renew) run.passed_over = held;
    if (!renew && !held && passed_over) renews_late_ = true;
    // Of a run that its host has completed, the finish that is to come takes it along.
    if (run.news_sent(held || stale ? &beats[i] : nullptr)) runner_.end_on(run);
    if (run.ended()) continue;
    // A moment's lock ends no run, however short leases are.
    if (held && (renew || passed_over) && !run.stop_reason()) {
      next = std::min(next, look_again(setup_.lease));
    }
    if (answers[i] == Pulse::kCancel) runner_.cancel(run.job.lease.id);
    if (stale && end_run(runs[i], "was lost")) {
      totals_.stale.fetch_add(1);
    }
  }
  return renews_late_ ? Duration{0} : next;
}

void PulseLoop::end_fenced() {
  for (const auto& run : runner_.leases()) {
    if (run->ended() || !fenced(run->renewed, setup_.lease)) continue;
    end_run(run, run->passed_over ? "could not be renewed, as others hold its row"
                                  : "could not be renewed");
  }
}

// Also one that was asked to stop, and takes its time. False: it was ended so already.
bool PulseLoop::end_run(const Runner::RunPtr& run, const char* why) {
  if (run->fenced.exchange(true)) return false;
  const bool first = run->stop(StopReason::kShutdown);
  log_(LogLevel::kWarn, "job " + std::to_string(value(run->job.lease.id)) +
                            ": its lease " + why + "; the run is ended");
  runner_.drop(run, !first);
  return true;
}

void PulseLoop::stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace carrel

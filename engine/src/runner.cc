#include "runner.h"

#include <algorithm>
#include <random>
#include <thread>
#include <utility>

#include "completer.h"
#include "finish.h"
#include "outcome.h"
#include "recycling_allocator.h"

namespace carrel {
namespace {

double random_fraction() {
  thread_local std::minstd_rand engine{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(engine);
}

}  // namespace

Runner::Runner(const KindTable& kinds, Size size,
               const std::map<std::string, QueueConfig>& queues, Ladder& ladder,
               Completer& completer)
    : kinds_(kinds),
      size_(size),
      batch_(std::max<std::size_t>(1, size.prefetch / 2)),
      slots_(queues),
      ladder_(ladder),
      completer_(completer) {}

Runner::~Runner() { wait_reported(); }

void Runner::wait_reported() const noexcept {
  // Their runs are counted as ended already: what is left of the calls is soon done.
  while (reporting_.load() > 0) std::this_thread::yield();
}

std::size_t Runner::room() const noexcept {
  const std::size_t all = size_.concurrency + size_.prefetch;
  const std::size_t taken = busy_.load();
  return taken < all && completer_.keeps_up() ? all - taken : 0;
}

std::size_t Runner::wait_for_room() {
  std::unique_lock lock(wait_mutex_);
  ++waiters_;
  wake_at_busy_ = size_.concurrency + size_.prefetch - batch_;
  changed_.wait(lock, [&] { return interrupted_ || has_room(); });
  --waiters_;
  return interrupted_ ? 0 : room();
}

void Runner::interrupt() {
  std::lock_guard lock(wait_mutex_);
  interrupted_ = true;
  changed_.notify_all();
}

void Runner::launch(std::vector<Claimed> jobs) {
  std::vector<RunPtr> runs;
  runs.reserve(jobs.size());
  const Kind* kind = nullptr;
  for (auto& job : jobs) {
    // A source hands out only kinds that were demanded, and those are in the table.
    if (kind == nullptr || kind->spec.kind != job.kind) kind = kinds_.find(job.kind);
    runs.push_back(std::allocate_shared<ActiveRun>(RecyclingAllocator<ActiveRun>(),
                                                   std::move(job), *kind, *this,
                                                   on_progress_, size_.max_checkpoint));
    if (slots_.any()) runs.back()->slot = slots_.take(runs.back()->job.queue);
  }
  busy_ += runs.size();
  std::optional<StopReason> stop;
  {
    std::lock_guard lock(leases_mutex_);
    for (const auto& run : runs) {
      run->index = leases_.size();
      leases_.push_back(run);
    }
    stop = stopping_;
  }
  if (stop) {
    for (const auto& run : runs) run->stop(*stop);
  }
  std::vector<RunPtr> stopped;
  std::erase_if(runs, [&](RunPtr& run) { return !enter_lane(run, stopped); });
  for (const RunPtr& run : stopped) end_waiting(*run);
  start(runs);
}

// False: the run waits in its lane, or was asked to stop before it came there. Who asks
// looks for it in its lane afterwards. What queues by itself needs no lane.
bool Runner::enter_lane(RunPtr& run, std::vector<RunPtr>& stopped) {
  if (run->kind.traits.queues) return true;
  std::lock_guard lock(lanes_mutex_);
  Lane& lane = lanes_[run->kind.isolation];
  if (lane.running < size_.concurrency) {
    ++lane.running;
    return true;
  }
  run->has_place = false;
  if (run->stop_reason()) {
    stopped.push_back(std::move(run));
  } else {
    lane.waiting.push_back(std::move(run));
  }
  return false;
}

// True: it waited in its lane, and has left it.
bool Runner::leave_lane(const RunPtr& run) {
  if (run->kind.traits.queues) return false;
  std::lock_guard lock(lanes_mutex_);
  auto& waiting = lanes_[run->kind.isolation].waiting;
  const auto place = std::find(waiting.begin(), waiting.end(), run);
  if (place == waiting.end()) return false;
  waiting.erase(place);
  return true;
}

// Starts runs of any kinds, each stretch of one isolation in one call.
void Runner::start(std::span<const RunPtr> runs) {
  std::vector<Task> tasks;
  while (!runs.empty()) {
    Isolation* isolation = runs.front()->kind.isolation;
    tasks.clear();
    for (const RunPtr& run : runs) {
      if (run->kind.isolation != isolation) break;
      Limits limits = run->kind.spec.limits;
      if (run->job.timeout.count() > 0) limits.wall = run->job.timeout;
      tasks.push_back({std::shared_ptr<const Claimed>(run, &run->job), limits, run});
      if (!run->kind.traits.queues) run->begin();
    }
    auto answers = isolation->start(tasks);
    for (std::size_t i = 0; i < answers.size(); ++i) {
      ActiveRun& run = *runs[i];
      if (!answers[i]) {
        refuse(run, std::move(answers[i].error()));
        continue;
      }
      run.attach(std::move(*answers[i]));
      if (!run.kind.traits.queues) arm(runs[i]);
    }
    runs = runs.subspan(answers.size());
  }
}

void Runner::refuse(ActiveRun& run, Error error) {
  const auto klass = error.code == Code::kUnavailable ? OutcomeClass::kResourceError
                                                      : OutcomeClass::kFailed;
  run.on_end(failure(klass, std::move(error)));
}

void Runner::began(ActiveRun& run) { arm(held(run)); }

Runner::RunPtr Runner::held(const ActiveRun& run) const {
  std::lock_guard lock(leases_mutex_);
  return leases_[run.index];
}

void Runner::arm(const RunPtr& run) {
  const Duration wall =
      run->job.timeout.count() > 0 ? run->job.timeout : run->kind.spec.limits.wall;
  if (wall.count() > 0) {
    ladder_.arm(run, std::chrono::steady_clock::now() + wall);
  }
}

void Runner::ended(ActiveRun& run) noexcept {
  ladder_.disarm(run);
  // Chance has a say only in how long a failure waits.
  const double chance =
      run.known_outcome().klass == OutcomeClass::kOk ? 0 : random_fraction();
  run.decision =
      decide(run.kind.retry, run.job, run.known_outcome(), run.stop_reason(), chance);
  if (!run.begun() && (run.decision.verdict == Verdict::kInterrupted ||
                       (run.decision.verdict == Verdict::kSnoozed &&
                        run.decision.retry_in == Duration{0}))) {
    run.decision.verdict = Verdict::kReleased;
  }
  const Kind& kind = run.kind;
  const bool more = run.more_ends;
  const bool frees_a_place = !kind.traits.queues && run.has_place;
  const bool at_once = completer_.at_once();
  // It counts as busy until it is committed: nothing here ends before, and the push is
  // the last touch.
  const bool quiet = more && at_once && kind.traits.queues && run.slot == nullptr;
  if (quiet && completer_.push_quietly(run)) return;
  reporting_.fetch_add(1);
  QueueSlots::Slot* const slot = run.slot;
  completer_.push(run);  // from here on it may be gone
  if (frees_a_place) refill(kind);
  const bool queue_was_full = slot != nullptr && slot->give_back();
  if (!at_once) release(1);
  if (!more) {
    completer_.settle();
    if (!at_once && on_room_) on_room_();
  }
  if (queue_was_full && on_queue_room_) on_queue_room_();
  reporting_.fetch_sub(1);  // the last touch of this object
}

void Runner::end_on(ActiveRun& run) noexcept { completer_.push_waited(run); }

void Runner::release(std::size_t slots) noexcept {
  const std::size_t left = busy_.fetch_sub(slots) - slots;
  if (waiters_.load() > 0 && left <= wake_at_busy_.load()) tell_waiters();
}

// A place of a non-queueing isolation is free: the next that waits here takes it, unless
// it is to stop.
void Runner::refill(const Kind& kind) {
  RunPtr next;
  std::vector<RunPtr> stopped;
  {
    std::lock_guard lock(lanes_mutex_);
    Lane& lane = lanes_[kind.isolation];
    while (!next && !lane.waiting.empty()) {
      RunPtr run = std::move(lane.waiting.front());
      lane.waiting.pop_front();
      if (run->stop_reason()) {
        stopped.push_back(std::move(run));
      } else {
        next = std::move(run);
      }
    }
    if (next) {
      next->has_place = true;
    } else {
      --lane.running;
    }
  }
  for (const auto& run : stopped) end_waiting(*run);
  if (next) start_in_turn(std::move(next));
}

// A run that is refused ends here and now, and so asks for the next of its lane: in this
// loop, not one call deeper for each that waits.
void Runner::start_in_turn(RunPtr run) {
  thread_local std::vector<RunPtr>* waiting = nullptr;
  if (waiting != nullptr) {
    waiting->push_back(std::move(run));
    return;
  }
  std::vector<RunPtr> runs{std::move(run)};
  waiting = &runs;
  while (!runs.empty()) {
    const RunPtr next = std::move(runs.back());
    runs.pop_back();
    start({&next, 1});
  }
  waiting = nullptr;
}

// Of a run that has left its lane.
void Runner::end_waiting(ActiveRun& run) {
  run.on_end(
      failure(OutcomeClass::kCancelled, {Code::kCancelled, "stopped before it began"}));
}

void Runner::tell_waiters() noexcept {
  std::lock_guard lock(wait_mutex_);
  changed_.notify_all();
}

std::vector<Runner::RunPtr> Runner::leases() const {
  std::lock_guard lock(leases_mutex_);
  return leases_;
}

void Runner::retire(const std::vector<ActiveRun*>& runs) {
  std::size_t slots = 0;
  {
    std::lock_guard lock(leases_mutex_);
    for (ActiveRun* run : runs) {
      if (completer_.at_once() && run->busy) ++slots;
      RunPtr& place = leases_[run->index];
      retired_.push_back(std::move(place));
      if (&place == &leases_.back()) {
        leases_.pop_back();
        continue;
      }
      place = std::move(leases_.back());
      place->index = run->index;
      leases_.pop_back();
    }
  }
  retired_.clear();
  release(slots);
  tell_room();
}

void Runner::tell_room() {
  if (waiters_.load() > 0) tell_waiters();
  if (on_room_) on_room_();
}

void Runner::put_off(const std::vector<ActiveRun*>& runs) {
  if (!completer_.at_once()) return;  // they were counted when they ended
  std::size_t slots = 0;
  for (ActiveRun* run : runs) slots += std::exchange(run->busy, false) ? 1 : 0;
  release(slots);
  if (slots > 0 && on_room_) on_room_();
}

}  // namespace carrel

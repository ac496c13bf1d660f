// Starting, running, draining and stopping.
#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>

#include "engine_impl.h"
#include "threads.h"

namespace carrel {

Engine::Impl::Impl(Config its_config, Registry its_registry)
    : config(std::move(its_config)), registry(std::move(its_registry)) {}

Engine::Impl::~Impl() {
  if (Inside::of(*door_) != nullptr) {
    std::fprintf(stderr, "carrel: a handler or hook destroys its own engine\n");
    std::abort();  // it would wait for itself
  }
  std::ignore = stop(Duration{0});
  door_->close();
  std::shared_ptr<Holds> holds;
  {
    const std::lock_guard lock(holds_mutex_);
    holds = holds_;
  }
  if (holds) holds->close();
  if (store) store->interrupt();
  door_->wait_empty();  // of the handlers that were abandoned
  // One of them may have made it only now; nobody does from here on.
  if (holds_ && holds_ != holds) holds_->close();
  if (stopper_.joinable()) stopper_.join();
  kinds_ = {};  // before the reactor they live on
}

Error Engine::Impl::ends() { return {Code::kCancelled, "the engine ends", "engine"}; }

Error Engine::Impl::forked() {
  return {
      Code::kUnsupported,
      "the engine is another process's: this one was forked from that, as a handler of "
      "a \"fork\" kind is, and has none of its threads and connections; let the job's "
      "result say what is to be asked of it, or open an engine here",
      "engine"};
}

std::size_t Engine::Impl::concurrency() const noexcept {
  if (config.worker.concurrency > 0) return config.worker.concurrency;
  return std::max(1U, std::thread::hardware_concurrency());
}

std::shared_ptr<Queue> Engine::Impl::queue() const {
  std::lock_guard lock(queue_mutex_);
  return queue_;
}

// So that what hooks ask of this engine is known to come from there.
template <class F>
std::vector<std::function<F>> Engine::Impl::marked(
    const std::vector<std::function<F>>& hooks) const {
  std::vector<std::function<F>> marked;
  for (const auto& hook : hooks) {
    marked.emplace_back([door = door_, hook](const auto&... what) {
      const Inside inside(*door, nullptr);
      hook(what...);
    });
  }
  return marked;
}

Result<std::unique_ptr<Worker>> Engine::Impl::make_worker() {
  if (auto ok = ignite(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  // Of a handler that came after ignition: its jobs would wait for ever, unexplained.
  // Once: whoever starts it all the same may.
  if (handler_error_) {
    return tl::unexpected<Error>(*std::exchange(handler_error_, std::nullopt));
  }
  if (config.role == Role::kProducer) {
    return fail(Code::kInvalid, "an engine with role = \"producer\" runs no jobs",
                "engine");
  }
  if (auto ok = need_queue(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  try {
    return std::make_unique<Worker>(Worker::Setup{
        *store, queue(), kinds_, *reactor_, config, concurrency(), marked(on_finished),
        marked(on_failed), marked(on_progress), totals_, log});
  } catch (const std::system_error& e) {
    return no_threads(e);
  } catch (const boost::system::system_error& e) {  // of its timers
    return no_threads(e);
  }
}

// start, stop and drain: one at a time.
class Engine::Impl::Turn {
 public:
  // Waits for it, or until `vain`: there is no use for it any more.
  template <class Predicate>
  Turn(Impl& engine, Predicate vain) : engine_(engine) {
    std::unique_lock lock(engine_.lifecycle_mutex_);
    engine_.turn_over_.wait(lock, [&] { return !engine_.taken_ || vain(); });
    mine_ = !std::exchange(engine_.taken_, true);
  }
  ~Turn() {
    if (!mine_) return;
    const std::lock_guard lock(engine_.lifecycle_mutex_);
    engine_.taken_ = false;
    engine_.draining_ = false;
    engine_.turn_over_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  bool mine() const noexcept { return mine_; }

 private:
  Impl& engine_;
  bool mine_ = false;
};

std::shared_ptr<Worker> Engine::Impl::worker() const {
  std::lock_guard lock(worker_mutex_);
  return worker_;
}

void Engine::Impl::set_worker(std::shared_ptr<Worker> worker) {
  std::lock_guard lock(worker_mutex_);
  worker_.swap(worker);
}

// Of a thread that may begin to run jobs: those that run them may not.
Result<void> Engine::Impl::may_begin() const {
  if (!birthplace_.here()) return tl::unexpected<Error>(forked());
  if (Inside::of(*door_) == nullptr) return {};
  return fail(Code::kInvalid,
              "the engine is running already: this is a handler or hook of its own",
              "engine");
}

Result<void> Engine::Impl::start() {
  const auto begun = begin();
  if (!begun) return tl::unexpected<Error>(begun.error());
  return {};
}

Result<std::shared_ptr<Worker>> Engine::Impl::begin() {
  if (auto ok = may_begin(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  const Turn turn(*this, [&] { return draining_.load(); });
  if (!turn.mine() || is_running()) {
    return fail(Code::kInvalid, "the engine is running already", "engine");
  }
  if (config.mode == Mode::kInline) {
    return fail(
        Code::kInvalid,
        "mode = \"inline\" runs each job at its enqueue; drain() runs what is left",
        "engine");
  }
  auto made = make_worker();
  if (!made) return tl::unexpected<Error>(std::move(made.error()));
  const std::shared_ptr<Worker> worker = std::move(*made);
  set_worker(worker);
  try {
    worker->start();
  } catch (const std::system_error& e) {
    stop_worker(Duration{0});
    return no_threads(e);
  }
  return worker;
}

Result<void> Engine::Impl::stop(Duration grace) {
  {
    std::lock_guard lock(wake_mutex_);
    run_grace_ = grace;  // run() may be the first to stop the worker
    if (run_wake_ != nullptr) run_wake_->wake();
  }
  const auto running = worker();
  std::stop_source draining{std::nostopstate};
  {
    // After the worker: that of a drain comes later than this.
    std::lock_guard lock(lifecycle_mutex_);
    draining = drain_stop_;
  }
  draining.request_stop();
  const bool first = running && running->expect_stop(grace);
  // Of handlers, too, which would be waited for: they know by now why.
  interrupt_holds();
  if (Inside::of(*door_) != nullptr) {
    if (first) stop_elsewhere(running, grace);
    return {};
  }
  // Whoever has the turn may begin to drain only now.
  const Turn turn(*this, [&] {
    if (draining_) drain_stop_.request_stop();
    return false;
  });
  const auto last = worker();
  stop_worker(grace);
  if (last) return last->stopped();
  return running ? running->stopped() : Result<void>();
}

// By whose turn it is.
void Engine::Impl::stop_worker(Duration grace) {
  const auto running = worker();
  if (!running) return;
  running->stop(grace);
  set_worker(nullptr);
  {
    const std::lock_guard lock(queue_mutex_);
    queue_interrupted_ = has_queue_;
  }
  const std::lock_guard lock(wake_mutex_);
  if (run_wake_ != nullptr && run_worker_ == running) run_wake_->wake();
}

// Whatever began meanwhile is not its business.
void Engine::Impl::stop_this(const std::shared_ptr<Worker>& running, Duration grace) {
  const auto over = [&] { return worker() != running; };
  if (over()) return;
  running->expect_stop(grace);
  interrupt_holds();
  const Turn turn(*this, over);
  if (turn.mine() && !over()) stop_worker(grace);
}

// By whose turn it is, who is to begin: where a stop was asked for it comes first, and
// waits no longer than that asked for.
bool Engine::Impl::is_running() {
  const auto running = worker();
  if (!running || !running->expects_stop()) return running != nullptr;
  stop_worker(Duration::max());
  return false;
}

// For a handler or hook: the stop would wait for it.
void Engine::Impl::stop_elsewhere(const std::shared_ptr<Worker>& running,
                                  Duration grace) {
  const std::lock_guard lock(stopper_mutex_);
  // One of an earlier worker has nothing left to wait for.
  if (stopper_.joinable()) stopper_.join();
  try {
    stopper_ = named_thread("carrel-stop",
                            [this, running, grace] { stop_this(running, grace); });
  } catch (const std::system_error& e) {
    log(LogLevel::kError,
        std::string("stop() in a handler or hook: it cannot make a thread; what runs now "
                    "is left to a stop() or start() elsewhere: ") +
            e.what());
  }
}

Result<void> Engine::Impl::need_queue() {
  {
    const std::lock_guard lock(queue_mutex_);
    if (!queue_interrupted_) return {};
  }
  auto fresh = open_queue();  // may wait for a server
  if (!fresh) return tl::unexpected<Error>(std::move(fresh.error()));
  const std::lock_guard lock(queue_mutex_);
  queue_ = std::move(*fresh);
  queue_interrupted_ = false;
  return {};
}

Result<DrainReport> Engine::Impl::drain(const std::stop_token& stop) {
  if (auto ok = may_begin(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  const Turn turn(*this, [&] { return draining_.load(); });
  if (!turn.mine() || is_running()) {
    return fail(Code::kInvalid, "the engine is running: drain() is for one that is not",
                "engine");
  }
  std::stop_source end;
  {
    std::lock_guard lock(lifecycle_mutex_);
    draining_ = true;
    turn_over_.notify_all();  // who waits to start need not
    drain_stop_ = end;
  }
  const std::stop_callback forward(stop, [&] { end.request_stop(); });
  auto made = make_worker();
  if (!made) return tl::unexpected<Error>(std::move(made.error()));
  const std::shared_ptr<Worker> worker = std::move(*made);
  const std::uint64_t completed = totals_.completed;
  const std::uint64_t failed = totals_.failed;
  const std::uint64_t cancelled = totals_.cancelled;
  set_worker(worker);  // so that stop(), cancel() and progress find it
  const auto drained = worker->drain(end.get_token());
  stop_worker(config.worker.grace);
  if (!drained) return tl::unexpected<Error>(drained.error());
  if (auto stopped = worker->stopped(); !stopped) {
    return tl::unexpected<Error>(std::move(stopped.error()));
  }
  DrainReport report;
  report.completed = totals_.completed - completed;
  report.failed = totals_.failed - failed;
  report.cancelled = totals_.cancelled - cancelled;
  return report;
}

Result<void> Engine::Impl::run() {
  if (auto ok = may_begin(); !ok) return ok;
  std::optional<SignalWake> wake;
  {
    // A stop() that comes from here on is heard of.
    std::lock_guard lock(wake_mutex_);
    if (run_wake_ != nullptr) {
      return fail(Code::kInvalid, "the engine is running already", "engine");
    }
    auto made = SignalWake::make();  // before any job can run
    if (!made) return tl::unexpected<Error>(std::move(made.error()));
    run_wake_ = &wake.emplace(std::move(*made));
    run_grace_.reset();
  }
  const auto begun = begin();
  if (begun) {
    {
      const std::lock_guard lock(wake_mutex_);
      run_worker_ = *begun;
    }
    // One that was stopped before that woke nobody.
    if (worker() == *begun) wake->wait();
    Duration grace = config.worker.grace;
    {
      std::lock_guard lock(wake_mutex_);
      if (run_grace_) grace = *run_grace_;
    }
    // The signals are still taken: a second one while jobs get their grace changes
    // nothing.
    stop_this(*begun, grace);
  }
  const std::lock_guard lock(wake_mutex_);
  run_wake_ = nullptr;
  run_worker_ = nullptr;
  if (!begun) return tl::unexpected<Error>(begun.error());
  return (*begun)->stopped();
}

}  // namespace carrel

// What an Engine is inside. Split by what its calls do: engine.cc (the public calls,
// which only pass on), ignition.cc, enqueue.cc, inline.cc, jobs.cc, lifecycle.cc,
// hold.cc.
#pragma once

#include <carrel/engine.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "birthplace.h"
#include "door.h"
#include "holds.h"
#include "inside.h"
#include "kind.h"
#include "reactor.h"
#include "signal_wake.h"
#include "worker.h"

namespace carrel {

class Engine::Impl {
 public:
  Impl(Config config, Registry registry);
  ~Impl();

  Result<void> add_handler(std::string_view kind, Handler handler);
  Result<void> add_fork_hook(const std::function<void(Handlers&)>& add);
  Result<void> ignite();
  bool in_its_process() const noexcept { return birthplace_.here(); }

  // Calls `call`, and while it is under way in a handler, which may be abandoned, the
  // engine does not end: kCancelled, it does already. Other callers are their host's to
  // wait for.
  template <class F>
  auto guarded(F&& call) -> decltype(call()) {
    if (!birthplace_.here()) return tl::unexpected<Error>(forked());
    if (Inside::of(*door_) == nullptr) return call();
    const Visit visit(door_);
    if (visit.inside()) return call();
    return tl::unexpected<Error>(ends());
  }

  // Jobs on their way to the store, made where they are handed to it from.
  struct NewJobs {
    explicit NewJobs(std::size_t most) { rows.reserve(most); }
    std::vector<NewJob> rows;
    // Those that were refused, by their places among all, in order.
    std::vector<std::pair<std::size_t, Error>> refused;
  };
  void add(NewJobs& jobs, std::string_view kind, const Json& args,
           const EnqueueOptions& options) const;
  void add(NewJobs& jobs, std::string_view kind, std::string payload,
           const EnqueueOptions& options) const;
  // An answer for each that was added, in order.
  std::vector<Result<Inserted>> insert(NewJobs jobs);
  void announce(std::span<const Ticket> tickets);

  Result<Json> wait(JobId id, Duration timeout);
  Result<Cancelled> cancel(JobId id);
  Result<void> retry(JobId id);
  Result<void> set_paused(std::string_view queue, bool paused);
  Result<Health> health();
  Health own_health() const;

  Result<void> start();
  Result<void> stop(Duration grace);
  Result<void> run();
  Result<DrainReport> drain(const std::stop_token& stop);

  Result<void> hold(const Limit& limit, const Holds::Run& run, Duration wait,
                    const std::stop_token& give_up);

  Config config;
  Registry registry;
  LogFn log;
  std::unique_ptr<Store> store;
  std::vector<Hook> on_finished;
  std::vector<Hook> on_failed;
  std::vector<ProgressHook> on_progress;

 private:
  static Error ends();    // what a call is told when the engine does
  static Error forked();  // what a call is told in another process
  // Ignition, step by step.
  Result<void> ignite_locked();
  std::vector<KindSpec> specs() const;
  std::string isolation_of(const KindSpec& spec) const;
  Result<void> preload_here() const;
  Result<void> ignite_server(const std::vector<KindSpec>& specs);
  Result<void> check_features() const;
  Result<void> open_backends();
  Result<std::unique_ptr<Store>> open_store();
  Result<std::unique_ptr<Queue>> open_queue();
  tl::unexpected<Error> refused(std::string_view key, Error error) const;
  // What its parts throw when they are made.
  tl::unexpected<Error> no_threads(const std::exception& e) const;
  Result<void> need_queue();  // a fresh one, where the last was interrupted
  Result<void> make_isolations(std::vector<KindSpec> specs);
  Handler marked(Handler handler) const;
  BackendOptions backend_options() const;

  void refuse_too_large(NewJobs& jobs) const;
  bool knows(std::string_view kind) const;
  bool waits_for_itself(const JobRecord& job);
  Result<void> await(JobId id, std::chrono::steady_clock::time_point until);
  // Of a fresh `job`.
  Result<void> fill(NewJob& job, std::string_view kind, std::string payload,
                    const EnqueueOptions& options) const;
  void publish(std::vector<Ticket> tickets);
  void due_in(Duration delay);
  // Jobs may be available that were not: drain() has nobody else who would tell it.
  void tell_drain();
  // Of these and of what their ends set free, each that is due and of a known kind.
  void run_inline(std::span<const Ticket> tickets);
  std::vector<Ticket> run_inline(const Ticket& ticket);  // what its end has set free
  std::shared_ptr<Holds> holds();
  void interrupt_holds();

  std::shared_ptr<Queue> queue() const;
  class Turn;
  Result<void> may_begin() const;
  std::shared_ptr<Worker> worker() const;
  void set_worker(std::shared_ptr<Worker> worker);
  Result<std::shared_ptr<Worker>> begin();
  void stop_worker(Duration grace);
  void stop_this(const std::shared_ptr<Worker>& running, Duration grace);
  bool is_running();
  bool takes_jobs() const;
  void stop_elsewhere(const std::shared_ptr<Worker>& running, Duration grace);
  template <class F>
  std::vector<std::function<F>> marked(const std::vector<std::function<F>>& hooks) const;
  Result<std::unique_ptr<Worker>> make_worker();
  std::size_t concurrency() const noexcept;

  const std::shared_ptr<Door> door_ = std::make_shared<Door>();
  Birthplace birthplace_;  // from ignition on

  Handlers handlers_;
  // Kinds with a handler that have no table, and run the command of the defaults instead.
  std::set<std::string, std::less<>> programs_;
  std::optional<Error> handler_error_;

  std::mutex ignition_mutex_;
  std::atomic<bool> ignited_{false};

  std::unique_ptr<Reactor> reactor_;  // outlives the isolations
  KindTable kinds_;
  Totals totals_;

  // nullptr where the store is its own queue. Replaced by the next start after a stop,
  // since a queue that was interrupted stays so; until then it takes what is published.
  mutable std::mutex queue_mutex_;
  std::shared_ptr<Queue> queue_;
  bool has_queue_ = false;  // whether that is so, from ignition on
  bool queue_interrupted_ = false;

  std::mutex lifecycle_mutex_;
  std::condition_variable turn_over_;
  bool taken_ = false;                             // somebody starts, stops or drains
  std::atomic<bool> draining_{false};              // changes under the lock
  std::stop_source drain_stop_{std::nostopstate};  // of the last drain
  mutable std::mutex worker_mutex_;
  std::shared_ptr<Worker> worker_;
  std::mutex stopper_mutex_;
  std::thread stopper_;  // made by a stop() in a handler or hook
  const std::string inline_worker_ = make_worker_id();
  std::atomic<std::uint64_t> inline_claims_{0};
  std::recursive_mutex inline_hooks_;  // a hook may enqueue, and hear of that end

  std::mutex holds_mutex_;
  std::shared_ptr<Holds> holds_;  // made by the first hold

  std::mutex wake_mutex_;
  const SignalWake* run_wake_ = nullptr;  // that run() waits for, while it does
  std::shared_ptr<Worker> run_worker_;    // that it has begun
  std::optional<Duration> run_grace_;     // of the stop() that ends run()
};

}  // namespace carrel

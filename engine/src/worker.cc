#include "worker.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "holds.h"
#include "hooks.h"

namespace carrel {
namespace {
using Steady = std::chrono::steady_clock;
// How long a kill may take to be heard of, and a last finish to be stored, when stopping.
constexpr auto kLastWords = std::chrono::seconds(10);
// And for one that a beat held up until then.
constexpr auto kLastTry = std::chrono::seconds(1);
constexpr std::size_t kMinUnflushed = 1024;
// The part of a lease for which the store may take no ends while more jobs are claimed.
constexpr int kPatience = 8;
// Leases between the lines about a store that stays away.
constexpr int kRemind = 4;
}  // namespace

std::string make_worker_id() {
  char host[65] = "";
  gethostname(host, sizeof host - 1);
  std::random_device random;
  char text[128];
  std::snprintf(text, sizeof text, "%s:%d:%08x%08x", host, static_cast<int>(getpid()),
                random(), random());
  return text;
}

std::unique_ptr<WorkerSource> Worker::make_source(const Setup& setup) {
  if (!setup.queue) return std::make_unique<FusedSource>(setup.store);
  return std::make_unique<TicketSource>(*setup.queue, setup.store,
                                        setup.config.worker.poll, setup.log);
}

Completer::Hooks Worker::hooks(Setup& setup) {
  Completer::Hooks hooks;
  hooks.host = {std::move(setup.on_finished), std::move(setup.on_failed)};
  if (queue_) {
    hooks.freed = [queue = queue_](std::vector<Ticket> tickets) {
      drop_holds(tickets);
      queue->publish(tickets);
    };
  }
  hooks.due_in = [this](Duration delay) { dispatcher_.due_in(delay); };
  return hooks;
}

Worker::Worker(Setup setup)
    : queue_(setup.queue),
      kinds_(setup.kinds),
      id_(make_worker_id()),
      status_(setup.log, kRemind * setup.config.worker.lease),
      source_(make_source(setup)),
      ladder_(setup.reactor),
      completer_(setup.store, hooks(setup), status_, setup.totals, setup.log,
                 {std::max(kMinUnflushed,
                           2 * (setup.concurrency + setup.config.worker.prefetch)),
                  setup.concurrency + setup.config.worker.prefetch,
                  setup.config.worker.lease / kPatience}),
      runner_(setup.kinds,
              {setup.concurrency, setup.config.worker.prefetch,
               setup.store.traits().max_payload},
              setup.config.queues, ladder_, completer_),
      feed_(*source_, runner_,
            {QueueTurns(setup.config.worker, setup.config.queues), setup.kinds, id_,
             setup.config.worker.lease, setup.config.worker.poll,
             setup.store.traits().blocks},
            status_),
      pulse_(setup.store, feed_, runner_, setup.reactor,
             {id_, setup.config.worker.lease, setup.config.worker.beat}, status_,
             setup.totals, setup.log),
      dispatcher_(
          setup.store,
          queue_ ? Dispatcher::Publish([queue = queue_](std::vector<Ticket> tickets) {
            drop_holds(tickets);
            queue->publish(tickets);
          })
                 : nullptr,
          setup.config.worker.poll, status_, setup.log),
      log_(setup.log) {
  if (!setup.on_progress.empty()) {
    runner_.on_progress([hooks = std::move(setup.on_progress), log = log_](
                            const Claimed& job, const Progress& progress) {
      tell(hooks, log, job, progress);
    });
  }
  completer_.start(runner_);
  pulse_.start();
}

Worker::~Worker() { stop(Duration{0}); }

void Worker::start() {
  dispatcher_.start();
  feed_.start();
}

Result<void> Worker::drain(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { runner_.interrupt(); });
  while (!stop.stop_requested()) {
    // Asked before looking for jobs: a run that ends meanwhile may have kept one from
    // being taken.
    const bool idle = runner_.busy() == 0 && completer_.idle();
    if (idle) runner_.wait_reported();
    const auto due = dispatcher_.sweep_all();
    if (!due) return tl::unexpected<Error>(due.error());
    if (const std::size_t room = runner_.room(); room > 0) {
      const auto pulled = feed_.pull(room, Duration{0});
      if (!pulled) return tl::unexpected<Error>(pulled.error());
      if (*pulled > 0) continue;
    }
    const std::size_t busy = runner_.busy();
    if (busy > 0) {
      // What its jobs enqueue is told of; what others did, and what falls due, is not.
      runner_.wait_below(busy, Steady::now() + dispatcher_.pause());
    } else if (!completer_.idle()) {
      // What ends may set others free, and hooks may enqueue some.
      completer_.settle_all(Steady::now() + kLastWords);
    } else if (idle && *due == 0) {
      const auto exhausted = kinds_.exhausted();
      if (exhausted.empty()) return {};
      return fail(
          Code::kUnavailable,
          "each thread of \"" + exhausted.front() +
              "\" is stuck in a handler that does not heed its stop; its jobs are "
              "left",
          "engine");
    }
  }
  return {};
}

bool Worker::expect_stop(Duration grace) {
  feed_.close();
  runner_.stop_all(StopReason::kShutdown);
  runner_.hurry(Steady::now() +
                std::clamp<Duration>(grace, Duration{0}, std::chrono::hours(24 * 365)));
  return !stop_expected_.exchange(true);
}

void Worker::stop(Duration grace) {
  if (stopped_) return;
  stopped_ = true;
  expect_stop(grace);
  dispatcher_.close();
  feed_.stop();
  runner_.stop_all(
      StopReason::kShutdown);  // what waits here from a claim that was under way
  if (!runner_.wait_grace()) {
    runner_.kill_all();
    // What can be killed is heard of soon; a thread is not.
    const auto killed = Steady::now() + kLastWords;
    if (!runner_.wait_killed(killed)) {
      log_(LogLevel::kError, "children did not end after SIGKILL");
    }
    runner_.abandon_all();
    // An end that was being reported just then was not abandoned, and is busy until it
    // is.
    if (!runner_.wait_idle(Steady::now() + kLastWords)) {
      log_(LogLevel::kError, "runs did not report their end while stopping");
    }
  }
  runner_.wait_reported();
  const bool flushed = completer_.flush(Steady::now() + kLastWords);
  pulse_.stop();  // joins a last beat: what has waited for it is with the completer now
  dispatcher_.stop();
  if (!flushed) completer_.flush(Steady::now() + kLastTry);
  lost_ends_ = completer_.stop();
}

Result<void> Worker::stopped() const {
  if (lost_ends_ == 0) return {};
  return fail(
      Code::kUnavailable,
      "the store was away while stopping: " + std::to_string(lost_ends_) +
          (lost_ends_ == 1 ? " job has ended, and runs" : " jobs have ended, and run") +
          " again, since that could not be stored",
      "engine");
}

}  // namespace carrel

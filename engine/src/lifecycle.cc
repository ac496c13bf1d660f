// Starting, running, draining and stopping.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "engine_impl.h"
#include "signal_wake.h"

namespace carrel {

Engine::Impl::Impl(Config its_config, Registry its_registry)
    : config(std::move(its_config)), registry(std::move(its_registry)) {}

Engine::Impl::~Impl() {
  stop(Duration{0});
  door_->close();
  if (holds_) holds_->close();
  if (store) store->interrupt();
  door_->wait_empty();  // of the handlers that were abandoned
  kinds_ = {};          // before the reactor they live on
}

Error Engine::Impl::ends() { return {Code::kCancelled, "the engine ends", "engine"}; }

std::size_t Engine::Impl::concurrency() const noexcept {
  if (config.worker.concurrency > 0) return config.worker.concurrency;
  return std::max(1U, std::thread::hardware_concurrency());
}

std::shared_ptr<Queue> Engine::Impl::queue() const {
  std::lock_guard lock(queue_mutex_);
  return queue_;
}

Result<std::unique_ptr<Worker>> Engine::Impl::make_worker() {
  if (auto ok = ignite(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
  // Of a handler that came after ignition: its jobs would wait for ever, unexplained.
  if (handler_error_) return tl::unexpected<Error>(*handler_error_);
  if (config.role == Role::kProducer) {
    return fail(Code::kInvalid, "an engine with role = \"producer\" runs no jobs",
                "engine");
  }
  return std::make_unique<Worker>(Worker::Setup{*store, queue(), kinds_, *reactor_,
                                                config, concurrency(), on_finished,
                                                on_failed, on_progress, totals_, log});
}

Result<void> Engine::Impl::start() {
  std::lock_guard lock(lifecycle_mutex_);
  if (worker_) return fail(Code::kInvalid, "the engine is running already", "engine");
  if (config.mode == Mode::kInline) {
    return fail(
        Code::kInvalid,
        "mode = \"inline\" runs each job at its enqueue; drain() runs what is left",
        "engine");
  }
  auto worker = make_worker();
  if (!worker) return tl::unexpected<Error>(std::move(worker.error()));
  {
    std::lock_guard guard(worker_mutex_);
    worker_ = std::move(*worker);
  }
  worker_->start();
  return {};
}

void Engine::Impl::stop(Duration grace) {
  {
    std::lock_guard lock(wake_mutex_);
    const std::uint64_t one = 1;
    run_grace_ = grace;  // run() may be the first to stop the worker
    if (wake_fd_ >= 0) (void)!write(wake_fd_, &one, sizeof one);
  }
  interrupt_holds();  // of handlers, too, which would be waited for
  std::lock_guard lock(lifecycle_mutex_);
  if (!worker_) return;
  worker_->stop(grace);
  {
    std::lock_guard guard(worker_mutex_);
    worker_.reset();
  }
  renew_queue();
}

// The queue was interrupted for good: a later start() needs a fresh one.
void Engine::Impl::renew_queue() {
  if (!queue()) return;
  auto fresh = open_queue();
  if (!fresh) {
    log(LogLevel::kError, "the queue cannot be opened again: " + fresh.error().message);
    return;
  }
  std::lock_guard lock(queue_mutex_);
  queue_ = std::move(*fresh);
}

Result<DrainReport> Engine::Impl::drain(const std::stop_token& stop) {
  std::lock_guard lock(lifecycle_mutex_);
  if (worker_) {
    return fail(Code::kInvalid, "the engine is running: drain() is for one that is not",
                "engine");
  }
  auto worker = make_worker();
  if (!worker) return tl::unexpected<Error>(std::move(worker.error()));
  const std::uint64_t completed = totals_.completed;
  const std::uint64_t failed = totals_.failed;
  const std::uint64_t cancelled = totals_.cancelled;
  {
    std::lock_guard guard(worker_mutex_);
    worker_ = std::move(*worker);  // so that cancel() and progress find it
  }
  const auto drained = worker_->drain(stop);
  worker_->stop(config.worker.grace);
  {
    std::lock_guard guard(worker_mutex_);
    worker_.reset();
  }
  renew_queue();
  if (!drained) return tl::unexpected<Error>(drained.error());
  DrainReport report;
  report.completed = totals_.completed - completed;
  report.failed = totals_.failed - failed;
  report.cancelled = totals_.cancelled - cancelled;
  return report;
}

Result<void> Engine::Impl::run() {
  const int fd = eventfd(0, EFD_CLOEXEC);
  if (fd < 0) return fail(Code::kUnavailable, "eventfd failed", "engine", errno);
  {
    std::lock_guard lock(wake_mutex_);
    if (wake_fd_ >= 0) {
      close(fd);
      return fail(Code::kInvalid, "the engine is running already", "engine");
    }
    wake_fd_ = fd;
    run_grace_.reset();
  }
  Result<void> started;
  {
    const SignalWake signals(fd);  // before any job can run
    started = start();
    if (started) {
      pollfd waiting{fd, POLLIN, 0};
      while (poll(&waiting, 1, -1) < 0 && errno == EINTR) {
      }
      Duration grace = config.worker.grace;
      {
        std::lock_guard lock(wake_mutex_);
        if (run_grace_) grace = *run_grace_;
      }
      // Still inside: a second signal while jobs get their grace changes nothing.
      stop(grace);
    }
  }
  {
    std::lock_guard lock(wake_mutex_);
    wake_fd_ = -1;
  }
  close(fd);
  return started;
}

}  // namespace carrel

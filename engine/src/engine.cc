#include <carrel/engine.h>

#include <cstdio>
#include <cstdlib>
#include <tuple>

#include "engine_impl.h"
#include "log.h"

namespace carrel {

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&& other) noexcept {
  if (this == &other) return *this;
  const Engine old(std::move(*this));
  impl_ = std::move(other.impl_);
  return *this;
}
// In a child of fork() there are no threads to end, and what they held stays locked: what
// is a copy of memory there is left to the child's end.
Engine::~Engine() {
  if (impl_ && !impl_->in_its_process()) std::ignore = impl_.release();
}

Result<Engine> Engine::open(const std::filesystem::path& file) {
  auto config = Config::load_with_environment(file);
  if (!config) return tl::unexpected<Error>(std::move(config.error()));
  return open(std::move(*config));
}

Result<Engine> Engine::open(Config config, Registry registry) {
  if (auto ok = config.validate(); !ok)
    return tl::unexpected<Error>(std::move(ok.error()));
  set_log_level(config.log.level);
  Engine engine(std::make_unique<Impl>(std::move(config), std::move(registry)));
  engine.impl_->log = log_function();
  return engine;
}

Result<void> Engine::preload(std::function<void()> load) {
  return impl_->add_fork_hook([&](Handlers& h) { h.preload(std::move(load)); });
}
Result<void> Engine::after_fork_child(std::function<void()> hook) {
  return impl_->add_fork_hook([&](Handlers& h) { h.after_fork_child(std::move(hook)); });
}

Result<void> Engine::add_handler(std::string_view kind, Handler handler) {
  return impl_->add_handler(kind, std::move(handler));
}

void Engine::on_finished(Hook hook) { impl_->on_finished.push_back(std::move(hook)); }
void Engine::on_failed(Hook hook) { impl_->on_failed.push_back(std::move(hook)); }
void Engine::on_progress(ProgressHook hook) {
  impl_->on_progress.push_back(std::move(hook));
}

Result<void> Engine::ignite() { return impl_->ignite(); }

namespace {

Result<JobId> id_of(Result<Inserted>&& inserted) {
  if (!inserted) return tl::unexpected<Error>(std::move(inserted.error()));
  return inserted->id;
}

}  // namespace

Result<JobId> Engine::enqueue(std::string_view kind, const Json& args,
                              const EnqueueOptions& options) {
  return id_of(insert(kind, args, options));
}

std::vector<Result<JobId>> Engine::enqueue(std::span<const Request> requests) {
  std::vector<Result<JobId>> ids;
  ids.reserve(requests.size());
  for (auto& inserted : insert(requests)) ids.push_back(id_of(std::move(inserted)));
  return ids;
}

Result<Inserted> Engine::insert(std::string_view kind, const Json& args,
                                const EnqueueOptions& options) {
  return impl_->guarded([&] {
    Impl::NewJobs jobs(1);
    impl_->add(jobs, kind, args, options);
    return std::move(impl_->insert(std::move(jobs)).front());
  });
}

std::vector<Result<Inserted>> Engine::insert(std::span<const Request> requests) {
  using Answers = std::vector<Result<Inserted>>;
  auto answers = impl_->guarded([&]() -> Result<Answers> {
    Impl::NewJobs jobs(requests.size());
    for (const auto& request : requests) {
      impl_->add(jobs, request.kind, request.args, request.options);
    }
    return impl_->insert(std::move(jobs));
  });
  if (answers) return std::move(*answers);
  return {requests.size(), tl::unexpected<Error>(answers.error())};
}

Result<NewJob> Engine::new_job(std::string_view kind, const Json& args,
                               const EnqueueOptions& options) const {
  return impl_->guarded([&]() -> Result<NewJob> {
    Impl::NewJobs jobs(1);
    impl_->add(jobs, kind, args, options);
    if (!jobs.rows.empty()) return std::move(jobs.rows.front());
    return tl::unexpected<Error>(std::move(jobs.refused.front().second));
  });
}

void Engine::publish(std::span<const Ticket> tickets) {
  std::ignore = impl_->guarded([&]() -> Result<void> {
    impl_->announce(tickets);
    return {};
  });
}

void Engine::publish(std::span<const Inserted> jobs) {
  std::vector<Ticket> tickets;
  for (const Inserted& job : jobs) {
    if (job.ticket) tickets.push_back(*job.ticket);
  }
  publish(tickets);
}

Result<JobId> Engine::enqueue_bytes(std::string_view kind, std::string payload,
                                    const EnqueueOptions& options) {
  return impl_->guarded([&] {
    Impl::NewJobs jobs(1);
    impl_->add(jobs, kind, std::move(payload), options);
    return id_of(std::move(impl_->insert(std::move(jobs)).front()));
  });
}

Result<Json> Engine::wait(JobId id, Duration timeout) {
  return impl_->guarded([&] { return impl_->wait(id, timeout); });
}

Result<JobRecord> Engine::job(JobId id) {
  return impl_->guarded([&]() -> Result<JobRecord> {
    if (auto ok = impl_->ignite(); !ok) return tl::unexpected<Error>(ok.error());
    return impl_->store->monitor().job(id);
  });
}

Result<std::vector<JobRecord>> Engine::list(const Filter& filter, JobId before,
                                            std::size_t limit) {
  return impl_->guarded([&]() -> Result<std::vector<JobRecord>> {
    if (auto ok = impl_->ignite(); !ok) return tl::unexpected<Error>(ok.error());
    return impl_->store->monitor().list(filter, before, limit);
  });
}

Result<Cancelled> Engine::cancel(JobId id) {
  return impl_->guarded([&] { return impl_->cancel(id); });
}
Result<void> Engine::retry(JobId id) {
  return impl_->guarded([&] { return impl_->retry(id); });
}
Result<void> Engine::pause(std::string_view queue) {
  return impl_->guarded([&] { return impl_->set_paused(queue, true); });
}
Result<void> Engine::resume(std::string_view queue) {
  return impl_->guarded([&] { return impl_->set_paused(queue, false); });
}
Health Engine::own_health() const { return impl_->own_health(); }
Result<Health> Engine::health() {
  return impl_->guarded([&] { return impl_->health(); });
}

Result<void> Engine::start() { return impl_->start(); }
Result<void> Engine::stop(Duration grace) {
  return impl_->guarded([&] { return impl_->stop(grace); });
}
Result<void> Engine::run() { return impl_->run(); }
Result<DrainReport> Engine::drain(std::stop_token stop) { return impl_->drain(stop); }

const Config& Engine::config() const noexcept { return impl_->config; }

Store& Engine::store() {
  if (auto ok = impl_->ignite(); !ok) {
    std::fprintf(stderr, "carrel: Engine::store(): %s\n", ok.error().message.c_str());
    std::abort();
  }
  return *impl_->store;
}

}  // namespace carrel

#include <carrel/fork.h>

#include <map>
#include <mutex>

#include "child_pool.h"
#include "fork_run.h"
#include "server_link.h"

namespace carrel {
namespace {

using namespace process;

class ForkIsolation final : public Isolation {
 public:
  ForkIsolation(Link link, const IsolationSetup& setup)
      : link_(std::move(link)), warm_(setup.warm), concurrency_(setup.concurrency) {
    for (const auto& spec : setup.kinds) {
      kinds_[spec.kind] = {spec.recycle, spec.recycle_memory, spec.kept};
    }
  }
  ~ForkIsolation() override {
    link_.close();
    if (pool_) pool_->close();
  }

  IsolationTraits traits() const noexcept override {
    return {.contains_crash = true, .can_kill = true, .runs_handlers = true};
  }

  // The first children are there before the first job.
  void begin() { pool_of(link_.channel()); }

  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) override {
    return link_.start(
        tasks, [this](std::span<Task> some, const std::shared_ptr<Channel>& channel) {
          return start_on(channel, some);
        });
  }

 private:
  Link::Answers start_on(const std::shared_ptr<Channel>& channel, std::span<Task> tasks) {
    Link::Answers answers;
    answers.reserve(tasks.size());
    const auto pool = pool_of(channel);
    std::vector<std::shared_ptr<ForkRun>> runs;
    runs.reserve(tasks.size());
    for (Task& task : tasks) {
      const auto kind = kinds_.find(task.job->kind);
      runs.push_back(
          std::make_shared<ForkRun>(std::move(task), channel, pool,
                                    kind == kinds_.end() ? ForkKind{} : kind->second));
      answers.emplace_back(runs.back());
    }
    pool->start(runs);
    return answers;
  }

  // A channel whose server has died takes its children with it.
  std::shared_ptr<ChildPool> pool_of(const std::shared_ptr<Channel>& channel) {
    std::lock_guard lock(mutex_);
    if (channel_.lock() != channel) {
      if (pool_) pool_->close();
      pool_ = ChildPool::open(channel, warm_, concurrency_);
      channel_ = channel;
    }
    return pool_;
  }

  Link link_;
  const std::size_t warm_;
  const std::size_t concurrency_;
  std::map<std::string, ForkKind> kinds_;
  std::mutex mutex_;
  std::weak_ptr<Channel> channel_;  // of the pool
  std::shared_ptr<ChildPool> pool_;
};

}  // namespace

void register_fork(Registry& registry) {
  IsolationEntry entry;
  entry.needs_server = true;
  entry.make = [](const IsolationSetup& setup) -> Result<std::unique_ptr<Isolation>> {
    auto link = Link::open(setup);
    if (!link) return tl::unexpected<Error>(std::move(link.error()));
    auto isolation = std::make_unique<ForkIsolation>(std::move(*link), setup);
    isolation->begin();
    return isolation;
  };
  registry.add_isolation("fork", std::move(entry));
}

}  // namespace carrel

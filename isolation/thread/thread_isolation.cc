#include "thread_isolation.h"

#include <carrel/thread.h>

#include "mutex_isolation.h"
#include "recycling_allocator.h"

namespace carrel {

std::shared_ptr<const ThreadIsolation::Kinds> ThreadIsolation::by_name(
    std::span<const KindSpec> kinds) {
  auto map = std::make_shared<Kinds>();
  for (const auto& kind : kinds) map->emplace(kind.kind, kind);
  return map;
}

ThreadIsolation::ThreadIsolation(const IsolationSetup& setup)
    : kinds_(by_name(setup.kinds)),
      pool_({"thread", setup.concurrency, kinds_, setup.log}) {}

IsolationTraits ThreadIsolation::traits() const noexcept {
  IsolationTraits traits;
  traits.runs_handlers = true;
  traits.queues = true;
  return traits;
}

std::vector<Result<std::shared_ptr<Run>>> ThreadIsolation::start(std::span<Task> tasks) {
  std::vector<Result<std::shared_ptr<Run>>> answers;
  std::vector<ThreadPool::RunPtr> runs;
  answers.reserve(tasks.size());
  runs.reserve(tasks.size());
  auto kind = kinds_->end();
  for (auto& task : tasks) {
    if (kind == kinds_->end() || kind->first != task.job->kind) {
      kind = kinds_->find(task.job->kind);
    }
    if (kind == kinds_->end()) {
      answers.emplace_back(
          fail(Code::kNotFound, "no handler for \"" + task.job->kind + "\"", "thread"));
      continue;
    }
    runs.push_back(std::allocate_shared<ThreadRun>(RecyclingAllocator<ThreadRun>(),
                                                   std::move(task), kind->second, pool_));
    answers.emplace_back(runs.back());
  }
  pool_.post(runs);
  return answers;
}

void register_thread(Registry& registry) {
  registry.add_isolation(
      "thread", {[](const IsolationSetup& setup) -> Result<std::unique_ptr<Isolation>> {
        return std::make_unique<ThreadIsolation>(setup);
      }});
  registry.add_isolation("mutex", {&MutexIsolation::make});
}

}  // namespace carrel

#include "thread_isolation.h"

#include <carrel/thread.h>

#include "mutex_isolation.h"
#include "recycling_allocator.h"

namespace carrel {

ThreadIsolation::ThreadIsolation(const IsolationSetup& setup)
    : pool_(setup.concurrency, {}) {
  for (const auto& kind : setup.kinds) {
    kinds_.emplace(kind.kind, std::make_shared<const KindSpec>(kind));
  }
}

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
  for (auto& task : tasks) {
    const auto kind = kinds_.find(task.job->kind);
    if (kind == kinds_.end()) {
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

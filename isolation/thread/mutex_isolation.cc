#include "mutex_isolation.h"

#include <deque>
#include <mutex>
#include <unordered_map>

namespace carrel {

struct MutexIsolation::Lines {
  std::mutex mutex;
  // A key is here while a run holds it; its line may be empty.
  std::unordered_map<std::string, std::deque<ThreadPool::RunPtr>> waiting;
  std::function<void(ThreadPool::RunPtr)> post;

  // True: the run holds its key now. Else it stands in line.
  bool enter(const ThreadPool::RunPtr& run) {
    std::lock_guard lock(mutex);
    const auto [line, fresh] = waiting.try_emplace(run->key);
    if (!fresh) line->second.push_back(run);
    return fresh;
  }

  void leave(const std::string& key) {
    ThreadPool::RunPtr next;
    {
      std::lock_guard lock(mutex);
      const auto line = waiting.find(key);
      if (line->second.empty()) {
        waiting.erase(line);
        return;
      }
      next = std::move(line->second.front());
      line->second.pop_front();
    }
    post(std::move(next));
  }
};

Result<std::unique_ptr<Isolation>> MutexIsolation::make(const IsolationSetup& setup) {
  std::map<std::string, Kind, std::less<>> kinds;
  for (const auto& spec : setup.kinds) {
    // Without a template the kind is the key; the prefix keeps it apart from rendered
    // ones.
    auto key = spec.key.empty() ? KeyTemplate::literal("kind " + spec.kind)
                                : KeyTemplate::parse(spec.key);
    if (!key) {
      return fail(Code::kInvalid, "jobs." + spec.kind + ".key: " + key.error().message,
                  "mutex");
    }
    kinds.emplace(spec.kind,
                  Kind{std::make_shared<const KindSpec>(spec), std::move(*key)});
  }
  return std::unique_ptr<Isolation>(
      new MutexIsolation(std::move(kinds), setup.concurrency));
}

MutexIsolation::MutexIsolation(std::map<std::string, Kind, std::less<>> kinds,
                               std::size_t threads)
    : kinds_(std::move(kinds)),
      lines_(std::make_shared<Lines>()),
      pool_(threads, [lines = lines_](ThreadRun& run) { lines->leave(run.key); }) {
  lines_->post = pool_.poster();
}

IsolationTraits MutexIsolation::traits() const noexcept {
  IsolationTraits traits;
  traits.runs_handlers = true;
  traits.queues = true;
  return traits;
}

Result<std::string> MutexIsolation::key_of(const Kind& kind, const Claimed& job) {
  if (kind.key.constant()) return kind.key.render(Json());
  const Json args = Json::parse(job.payload, nullptr, false);
  if (args.is_discarded()) {
    return fail(Code::kInvalid, "the key \"" + kind.spec->key +
                                    "\" needs arguments in JSON, and these are none");
  }
  return kind.key.render(args);
}

std::vector<Result<std::shared_ptr<Run>>> MutexIsolation::start(std::span<Task> tasks) {
  std::vector<Result<std::shared_ptr<Run>>> answers;
  std::vector<ThreadPool::RunPtr> ready;
  answers.reserve(tasks.size());
  for (auto& task : tasks) {
    const auto kind = kinds_.find(task.job->kind);
    if (kind == kinds_.end()) {
      answers.emplace_back(
          fail(Code::kNotFound, "no handler for \"" + task.job->kind + "\"", "mutex"));
      continue;
    }
    auto key = key_of(kind->second, *task.job);
    if (!key) {
      answers.emplace_back(tl::unexpected<Error>(std::move(key.error())));
      continue;
    }
    auto run = std::make_shared<ThreadRun>(std::move(task), kind->second.spec, pool_);
    run->key = std::move(*key);
    answers.emplace_back(run);
    if (lines_->enter(run)) ready.push_back(std::move(run));
  }
  pool_.post(ready);
  return answers;
}

}  // namespace carrel

#include "mutex_isolation.h"

#include <deque>
#include <mutex>
#include <unordered_map>

#include "held_key.h"
#include "json_text.h"

namespace carrel {

class MutexIsolation::Templates final : public Keys {
 public:
  void add(const std::string& kind, KeyTemplate key) {
    keys_.emplace(kind, std::move(key));
  }

  Result<std::string> key_of(std::string_view kind, std::string_view payload) const {
    const KeyTemplate& key = keys_.find(kind)->second;
    if (key.constant()) return key.render(Json());
    const Json args = json_from_text(payload);
    if (args.is_discarded()) {
      return fail(Code::kInvalid, "the key of the kind \"" + std::string(kind) +
                                      "\" needs arguments in JSON, and these are none");
    }
    return key.render(args);
  }

  bool same(const Claimed& holder, std::string_view kind,
            std::string_view payload) const override {
    if (!keys_.contains(kind)) return false;
    const auto held = key_of(holder.kind, holder.payload);
    const auto asked = key_of(kind, payload);
    return held && asked && *held == *asked;
  }

 private:
  std::map<std::string, KeyTemplate, std::less<>> keys_;
};

struct MutexIsolation::Lines {
  using RunPtr = ThreadPool::RunPtr;
  struct Line {
    RunPtr holder;
    std::deque<RunPtr> waiting;
  };
  std::mutex mutex;
  std::unordered_map<std::string, Line> lines;  // of keys that a run holds
  std::function<void(RunPtr)> post;

  // True: the run holds its key now. Else it stands in line, unless that does not move.
  bool enter(const RunPtr& run) {
    {
      std::lock_guard lock(mutex);
      const auto [at, fresh] = lines.try_emplace(run->key);
      Line& line = at->second;
      if (fresh) line.holder = run;
      if (fresh) return true;
      if (!line.holder->abandoned()) {
        line.waiting.push_back(run);
        return false;
      }
    }
    set_aside(*run);
    return false;
  }

  void leave(const std::string& key) {
    RunPtr next;
    {
      std::lock_guard lock(mutex);
      const auto at = lines.find(key);
      Line& line = at->second;
      if (line.waiting.empty()) {
        lines.erase(at);
        return;
      }
      next = std::move(line.waiting.front());
      line.waiting.pop_front();
      line.holder = next;
    }
    post(std::move(next));
  }

  // Its holder was abandoned, and has the key for who knows how long.
  void clear(const std::string& key) {
    std::deque<RunPtr> waiting;
    {
      std::lock_guard lock(mutex);
      const auto at = lines.find(key);
      if (at == lines.end() || !at->second.holder->abandoned()) return;
      waiting.swap(at->second.waiting);
    }
    for (const RunPtr& run : waiting) set_aside(*run);
  }

  static void set_aside(ThreadRun& run) {
    constexpr auto kPause = std::chrono::seconds(10);
    run.set_aside(kPause, "its key is held by a run that was abandoned: " + run.key);
  }
};

Result<std::unique_ptr<Isolation>> MutexIsolation::make(const IsolationSetup& setup) {
  auto kinds = std::make_shared<Kinds>();
  auto keys = std::make_shared<Templates>();
  for (const auto& spec : setup.kinds) {
    // Without a template the kind is the key; the prefix keeps it apart from rendered
    // ones.
    auto key = spec.key.empty() ? KeyTemplate::literal("kind " + spec.kind)
                                : KeyTemplate::parse(spec.key);
    if (!key) {
      return fail(Code::kInvalid, "jobs." + spec.kind + ".key: " + key.error().message,
                  "mutex");
    }
    keys->add(spec.kind, std::move(*key));
    kinds->emplace(spec.kind, spec);
  }
  return std::unique_ptr<Isolation>(
      new MutexIsolation(std::move(kinds), std::move(keys), setup));
}

MutexIsolation::MutexIsolation(std::shared_ptr<Kinds> kinds,
                               std::shared_ptr<const Templates> keys,
                               const IsolationSetup& setup)
    : kinds_(std::move(kinds)),
      keys_(std::move(keys)),
      lines_(std::make_shared<Lines>()),
      pool_({"mutex", setup.concurrency, kinds_, setup.log,
             [lines = lines_](ThreadRun& run) { lines->leave(run.key); },
             [lines = lines_](ThreadRun& run) { lines->clear(run.key); }}) {
  lines_->post = pool_.poster();
  for (auto& [name, spec] : *kinds_) {
    spec.handler = [this, keys = keys_, run = std::move(spec.handler)](Context& job) {
      const HeldKey held(this, *keys, job.job());
      return run(job);
    };
  }
}

IsolationTraits MutexIsolation::traits() const noexcept {
  IsolationTraits traits;
  traits.runs_handlers = true;
  traits.queues = true;
  return traits;
}

std::vector<Result<std::shared_ptr<Run>>> MutexIsolation::start(std::span<Task> tasks) {
  std::vector<Result<std::shared_ptr<Run>>> answers;
  std::vector<ThreadPool::RunPtr> ready;
  answers.reserve(tasks.size());
  for (auto& task : tasks) {
    const auto kind = kinds_->find(task.job->kind);
    if (kind == kinds_->end()) {
      answers.emplace_back(
          fail(Code::kNotFound, "no handler for \"" + task.job->kind + "\"", "mutex"));
      continue;
    }
    auto key = keys_->key_of(task.job->kind, task.job->payload);
    if (!key) {
      answers.emplace_back(tl::unexpected<Error>(std::move(key.error())));
      continue;
    }
    auto run = std::make_shared<ThreadRun>(std::move(task), kind->second, pool_);
    run->key = std::move(*key);
    answers.emplace_back(run);
    if (lines_->enter(run)) ready.push_back(std::move(run));
  }
  pool_.post(ready);
  return answers;
}

}  // namespace carrel

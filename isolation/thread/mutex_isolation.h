// "mutex": as "thread", and jobs of one key run one at a time.
//
// A keyed mutex is a keyed queue: of each key at most one run is with the pool, the
// others wait in line here, first come first served, and park no thread. The key is given
// up when the handler has returned, also where the engine had abandoned it: what the
// mutex protects is still in use until then, and who waits for it is given back to the
// store for a while.
#pragma once

#include <map>
#include <string>

#include "key_template.h"
#include "thread_pool.h"

namespace carrel {

class MutexIsolation final : public Isolation {
 public:
  // kInvalid: a key template that cannot be read; names its kind.
  static Result<std::unique_ptr<Isolation>> make(const IsolationSetup& setup);

  IsolationTraits traits() const noexcept override;
  // A task whose arguments lack what the key needs is refused with kInvalid.
  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) override;
  std::size_t stuck() const noexcept override { return pool_.stuck(); }
  bool exhausted() const noexcept override { return pool_.exhausted(); }
  void tend() noexcept override { pool_.tend(); }

 private:
  using Kinds = std::map<std::string, KindSpec, std::less<>>;
  class Templates;  // from kinds and arguments to keys
  struct Lines;     // who holds a key, and who waits for it
  MutexIsolation(std::shared_ptr<Kinds> kinds, std::shared_ptr<const Templates> keys,
                 const IsolationSetup& setup);

  const std::shared_ptr<Kinds> kinds_;
  // Shared: an abandoned handler may outlive this.
  const std::shared_ptr<const Templates> keys_;
  std::shared_ptr<Lines> lines_;
  ThreadPool pool_;
};

}  // namespace carrel

// "thread": every run takes the next free thread of the pool.
#pragma once

#include <map>
#include <string>

#include "thread_pool.h"

namespace carrel {

class ThreadIsolation final : public Isolation {
 public:
  explicit ThreadIsolation(const IsolationSetup& setup);
  IsolationTraits traits() const noexcept override;
  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) override;
  std::size_t stuck() const noexcept override { return pool_.stuck(); }
  bool exhausted() const noexcept override { return pool_.exhausted(); }
  void tend() noexcept override { pool_.tend(); }

 private:
  using Kinds = std::map<std::string, KindSpec, std::less<>>;
  static std::shared_ptr<const Kinds> by_name(std::span<const KindSpec> kinds);

  const std::shared_ptr<const Kinds> kinds_;
  ThreadPool pool_;
};

}  // namespace carrel

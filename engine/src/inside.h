// Whose code the calling thread runs: a handler or a hook that calls its own engine
// cannot wait there for what waits for it.
#pragma once

namespace carrel {

class Context;
class Door;

// While it lives, the calling thread runs code of the host for the engine behind `door`.
class Inside {
 public:
  // `job`: of the handler that runs; null: it is a hook. Both are borrowed.
  Inside(const Door& door, Context* job) noexcept;
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

  // null: the calling thread runs none for that engine.
  static const Inside* of(const Door& door) noexcept;

  Context* job() const noexcept { return job_; }

 private:
  const Door& door_;
  Context* const job_;
  const Inside* const outer_;  // a handler may call another engine, whose hooks run here
};

}  // namespace carrel

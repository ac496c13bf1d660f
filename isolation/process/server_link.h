// What an isolation holds of the process server: the current channel, and a new one when
// the server has died.
//
// Threads: every call is safe beside every other.
#pragma once

#include <carrel/isolation.h>

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "channel.h"

namespace carrel::process {

class Link {
 public:
  using Answers = std::vector<Result<std::shared_ptr<Run>>>;
  // Starts tasks on a channel: Isolation::start.
  using Begin = std::function<Answers(std::span<Task>, const std::shared_ptr<Channel>&)>;
  // Opens a channel: connect(), if nothing else is said. May block; a request to stop
  // ends that at once.
  using Dial = std::function<Result<UniqueFd>(std::stop_token)>;

  // The process server must run: ignite(). Blocks until there is a channel.
  static Result<Link> open(const IsolationSetup& setup, Dial dial = {});
  Link(Link&&) noexcept;
  ~Link();  // close()

  // The channel that there was last.
  std::shared_ptr<Channel> channel() const;

  // Isolation::start; never blocks. Where the server has died, the tasks are held until
  // a thread of this link's has opened another channel, and `begin` is called there. They
  // can be stopped meanwhile. If none can be had they end: as sandbox_unavailable where
  // Dial says kUnsupported, as resource_error where it says kUnavailable.
  Answers start(std::span<Task> tasks, const Begin& begin);

  // Every run has ended. When this returns no `begin` runs, and none will. Idempotent.
  void close() noexcept;

 private:
  struct State;
  explicit Link(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

// The end of a task that could not be asked for: an answer of Isolation::start.
std::shared_ptr<Run> end_unstarted(const Task& task, OutcomeClass klass, Error error);

}  // namespace carrel::process

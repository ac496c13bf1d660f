// What an isolation holds of the process server: the current channel, and a new one when
// the server has died.
//
// Threads: every call is safe beside every other.
#pragma once

#include <carrel/isolation.h>

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "channel.h"

namespace carrel::process {

class Link {
 public:
  // Makes the request for one task, or says why not; then the task is as it was.
  // kUnavailable: there is none left of some resource.
  using Prepare = std::function<Result<Launch>(Task&, const std::shared_ptr<Channel>&)>;

  // Opens a channel: connect(), if nothing else is said.
  using Dial = std::function<Result<UniqueFd>()>;

  // The process server must run: ignite().
  static Result<Link> open(const IsolationSetup& setup, Dial dial = {});
  Link(Link&&) noexcept;
  ~Link();  // every run has ended

  // Isolation::start. A task for which there is no descriptor or memory ends as
  // resource_error, one whose sandbox cannot be made any more (Dial said kUnsupported) as
  // sandbox_unavailable. An error is another one of `prepare`, or kUnavailable: the
  // server is gone for good.
  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks,
                                                  const Prepare& prepare);

  // The current channel, or a new one; kUnavailable as above.
  Result<std::shared_ptr<Channel>> channel();

 private:
  struct State;
  explicit Link(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace carrel::process

#include <carrel/fork.h>
#include <sys/socket.h>

#include <cerrno>

#include "channel.h"
#include "fork_run.h"
#include "outcome.h"
#include "server_link.h"

namespace carrel {
namespace {

using namespace process;

class ForkIsolation final : public Isolation {
 public:
  explicit ForkIsolation(Link link) : link_(std::move(link)) {}

  IsolationTraits traits() const noexcept override {
    return {.contains_crash = true, .can_kill = true, .runs_handlers = true};
  }

  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) override {
    return link_.start(tasks, [](Task& task, const std::shared_ptr<Channel>& channel) {
      return launch(task, channel);
    });
  }

 private:
  static Result<Launch> launch(Task& task, const std::shared_ptr<Channel>& channel) {
    FdPair ends = socket_pair(SOCK_STREAM);
    if (!ends.first) return os_error(Code::kUnavailable, "no socket for the job", errno);
    Launch launch;
    launch.head.ask = Ask::kFork;
    std::optional<std::chrono::steady_clock::time_point> deadline;
    if (task.limits.wall.count() > 0) {
      deadline = std::chrono::steady_clock::now() + task.limits.wall;
    }
    Writer writer(launch.body);
    encode(writer, *task.job, deadline, task.limits.result_bytes);
    launch.fds.push_back(std::move(ends.second));
    launch.run =
        std::make_shared<ForkRun>(std::move(task), channel, std::move(ends.first));
    return launch;
  }

  Link link_;
};

}  // namespace

void register_fork(Registry& registry) {
  IsolationEntry entry;
  entry.needs_server = true;
  entry.make = [](const IsolationSetup& setup) -> Result<std::unique_ptr<Isolation>> {
    auto link = Link::open(setup);
    if (!link) return tl::unexpected<Error>(std::move(link.error()));
    return std::make_unique<ForkIsolation>(std::move(*link));
  };
  registry.add_isolation("fork", std::move(entry));
}

}  // namespace carrel

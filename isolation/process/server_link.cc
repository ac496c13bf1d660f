#include "server_link.h"

#include "process_server.h"
#include "reactor.h"

namespace carrel::process {
namespace {

// The end of a task that could not be asked for.
class Unstarted final : public Run {
 public:
  void request_stop(StopReason /*reason*/) noexcept override {}
  bool terminate() noexcept override { return true; }
  bool kill() noexcept override { return true; }
  void abandon() noexcept override {}
};

std::shared_ptr<Run> end_unstarted(const Task& task, OutcomeClass klass, Error error) {
  Outcome outcome;
  outcome.klass = klass;
  outcome.error = std::move(error);
  task.sink->on_end(std::move(outcome));
  return std::make_shared<Unstarted>();
}

}  // namespace

struct Link::State {
  boost::asio::io_context& context;
  Dial dial;
  std::mutex mutex;
  std::shared_ptr<Channel> channel;
};

Link::Link(std::unique_ptr<State> state) : state_(std::move(state)) {}
Link::Link(Link&&) noexcept = default;
Link::~Link() {
  if (state_ && state_->channel) state_->channel->close();
}

Result<Link> Link::open(const IsolationSetup& setup, Dial dial) {
  if (!dial) dial = [] { return connect(); };
  Link link(std::unique_ptr<State>(
      new State{setup.reactor->context(), std::move(dial), {}, {}}));
  if (auto channel = link.channel(); !channel) {
    return tl::unexpected<Error>(std::move(channel.error()));
  }
  return link;
}

Result<std::shared_ptr<Channel>> Link::channel() {
  std::lock_guard lock(state_->mutex);
  if (state_->channel && !state_->channel->dead()) return state_->channel;
  auto socket = state_->dial();
  if (!socket) return tl::unexpected<Error>(std::move(socket.error()));
  if (state_->channel) state_->channel->close();
  state_->channel = Channel::open(state_->context, std::move(*socket));
  return state_->channel;
}

std::vector<Result<std::shared_ptr<Run>>> Link::start(std::span<Task> tasks,
                                                      const Prepare& prepare) {
  std::vector<Result<std::shared_ptr<Run>>> answers;
  answers.reserve(tasks.size());
  auto current = channel();
  if (!current) {
    for (const Task& task : tasks) {
      if (current.error().code == Code::kUnsupported) {
        answers.emplace_back(
            end_unstarted(task, OutcomeClass::kSandboxUnavailable, current.error()));
      } else {
        answers.emplace_back(tl::unexpected<Error>(current.error()));
      }
    }
    return answers;
  }
  std::vector<Launch> launches;
  launches.reserve(tasks.size());
  for (Task& task : tasks) {
    auto launch = prepare(task, *current);
    if (launch) {
      answers.emplace_back(launch->run);
      launches.push_back(std::move(*launch));
      continue;
    }
    if (launch.error().code != Code::kUnavailable) {
      answers.push_back(tl::unexpected<Error>(std::move(launch.error())));
      continue;
    }
    answers.emplace_back(
        end_unstarted(task, OutcomeClass::kResourceError, std::move(launch.error())));
  }
  if (!(*current)->start(launches)) {
    // It died between the two calls: these share the lot of those it was running.
    for (const auto& launch : launches) launch.run->lost();
  }
  return answers;
}

}  // namespace carrel::process

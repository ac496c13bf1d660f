#include "server_link.h"

#include <boost/system/system_error.hpp>
#include <mutex>
#include <system_error>
#include <thread>

#include "held_run.h"
#include "outcome.h"
#include "process_server.h"
#include "reactor.h"
#include "threads.h"

namespace carrel::process {

// Tasks of one call that wait for a channel.
struct Held {
  std::vector<std::shared_ptr<HeldRun>> runs;
  Link::Begin begin;
};

namespace {

class Unstarted final : public Run {
 public:
  void request_stop(StopReason /*reason*/) noexcept override {}
  bool terminate() noexcept override { return true; }
  bool kill() noexcept override { return true; }
  Duration abandon() noexcept override { return {}; }
};

void refuse(const Held& held, const Error& error) {
  for (const auto& run : held.runs) {
    if (run->begin()) run->refused(error);
  }
}

void begin(const Held& held, const std::shared_ptr<Channel>& channel) {
  std::vector<Task> tasks;
  std::vector<std::shared_ptr<HeldRun>> runs;
  for (const auto& run : held.runs) {
    auto task = run->begin();
    if (!task) continue;
    tasks.push_back(std::move(*task));
    runs.push_back(run);
  }
  if (tasks.empty()) return;
  auto answers = held.begin(tasks, channel);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i]) {
      runs[i]->began(std::move(*answers[i]));
    } else {
      runs[i]->refused(std::move(answers[i].error()));
    }
  }
}

}  // namespace

struct Link::State {
  boost::asio::io_context& context;
  const Dial dial;
  std::stop_source closing;

  std::mutex mutex;
  std::shared_ptr<Channel> channel;
  bool dialing = false;  // the thread is at it, and sees to what is held
  std::vector<Held> held;
  std::thread dialer;

  State(boost::asio::io_context& c, Dial d) : context(c), dial(std::move(d)) {}

  Result<std::shared_ptr<Channel>> redial() {
    auto socket = dial(closing.get_token());
    if (!socket) return tl::unexpected<Error>(std::move(socket.error()));
    try {
      auto made = Channel::open(context, std::move(*socket));
      std::lock_guard lock(mutex);
      if (channel) channel->close();
      channel = made;
      return made;
    } catch (const boost::system::system_error& e) {
      return os_error(Code::kUnavailable, "no channel to the process server",
                      e.code().value());
    }
  }

  // The dialer's thread. What ends there may be followed by other tasks at once, which
  // are held too.
  void see_to_held() {
    for (;;) {
      std::shared_ptr<Channel> current;
      {
        std::lock_guard lock(mutex);
        if (held.empty()) {
          dialing = false;
          return;
        }
        current = channel;
      }
      Result<std::shared_ptr<Channel>> working = current;
      if (current->dead()) working = redial();
      std::vector<Held> all;
      {
        std::lock_guard lock(mutex);
        all.swap(held);
      }
      for (const Held& some : all) {
        if (working) {
          begin(some, *working);
        } else {
          refuse(some, working.error());
        }
      }
    }
  }

  // With the mutex held.
  void start_dialer() {
    if (dialing) return;
    if (dialer.joinable()) dialer.join();  // it is through
    dialer = named_thread("carrel-dialer", [this] { see_to_held(); });
    dialing = true;
  }
};

std::shared_ptr<Run> end_unstarted(const Task& task, OutcomeClass klass, Error error) {
  task.sink->on_end(failure(klass, std::move(error)));
  return std::make_shared<Unstarted>();
}

Link::Link(std::shared_ptr<State> state) : state_(std::move(state)) {}
Link::Link(Link&&) noexcept = default;
Link::~Link() { close(); }

void Link::close() noexcept {
  if (!state_) return;
  state_->closing.request_stop();
  if (state_->dialer.joinable()) state_->dialer.join();
  if (state_->channel) state_->channel->close();
  state_.reset();
}

Result<Link> Link::open(const IsolationSetup& setup, Dial dial) {
  if (!dial) dial = [](std::stop_token stop) { return connect(kChannelMark, stop); };
  Link link(std::make_shared<State>(setup.reactor->context(), std::move(dial)));
  if (auto channel = link.state_->redial(); !channel) {
    return tl::unexpected<Error>(std::move(channel.error()));
  }
  return link;
}

std::shared_ptr<Channel> Link::channel() const {
  std::lock_guard lock(state_->mutex);
  return state_->channel;
}

Link::Answers Link::start(std::span<Task> tasks, const Begin& begin) {
  const auto current = channel();
  if (!current->dead()) return begin(tasks, current);
  Answers answers;
  answers.reserve(tasks.size());
  Held held{{}, begin};
  for (Task& task : tasks) {
    held.runs.push_back(
        std::make_shared<HeldRun>(std::move(task), state_->context, state_));
    answers.emplace_back(held.runs.back());
  }
  try {
    std::lock_guard lock(state_->mutex);
    state_->start_dialer();
    state_->held.push_back(std::move(held));
  } catch (const std::system_error& e) {
    refuse(held,
           {Code::kUnavailable,
            "no thread to reach the process server: " + errno_text(e.code().value()),
            "process", e.code().value()});
  }
  return answers;
}

}  // namespace carrel::process

#include <carrel/exec.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "channel.h"
#include "exec_run.h"
#include "program.h"
#include "server_link.h"

namespace carrel {
namespace {

using namespace process;

using Programs = std::map<std::string, Program, std::less<>>;

// The first part of the payload, from the thread that starts the job: the read end is
// still open here, so there is no SIGPIPE to fear. What does not fit into the pipe is
// written by the reactor.
std::size_t write_first(UniqueFd& input, std::string_view payload) {
  std::size_t written = 0;
  if (!payload.empty()) {
    const ssize_t n = write(input.get(), payload.data(), payload.size());
    if (n > 0) written = static_cast<std::size_t>(n);
  }
  if (written == payload.size()) input.reset();
  return written;
}

class ExecIsolation final : public Isolation {
 public:
  ExecIsolation(Link link, Programs programs)
      : link_(std::move(link)), programs_(std::move(programs)) {}

  IsolationTraits traits() const noexcept override {
    return {.contains_crash = true, .can_kill = true, .runs_programs = true};
  }

  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) override {
    return link_.start(tasks,
                       [this](Task& task, const std::shared_ptr<Channel>& channel) {
                         return launch(task, channel);
                       });
  }

 private:
  Result<Launch> launch(Task& task, const std::shared_ptr<Channel>& channel) const {
    const auto program = programs_.find(task.job->kind);
    if (program == programs_.end()) {
      return fail(Code::kNotFound, "no program for the kind \"" + task.job->kind + "\"",
                  "exec");
    }
    FdPair input = write_pipe();
    FdPair output = read_pipe();
    FdPair error = read_pipe();
    FdPair notes = read_pipe();
    if (!input.first || !output.first || !error.first || !notes.first) {
      return os_error(Code::kUnavailable, "no pipe for the job", errno);
    }
    Launch launch;
    launch.head.ask = Ask::kSpawn;
    launch.head.drain_ms = static_cast<std::uint32_t>(
        std::clamp<Duration::rep>(task.limits.drain_grace.count() / 1000, 0, 3'600'000));
    launch.body = program->second.request(*task.job);
    launch.fds.reserve(5);
    launch.fds.push_back(std::move(input.second));
    launch.fds.push_back(std::move(output.second));
    launch.fds.push_back(std::move(error.second));
    launch.fds.push_back(std::move(notes.second));
    const std::size_t written = write_first(input.first, task.job->payload);
    launch.run = std::make_shared<ExecRun>(
        std::move(task), channel, program->second.name(),
        ExecPipes{std::move(input.first), std::move(output.first), std::move(error.first),
                  std::move(notes.first)},
        written);
    return launch;
  }

  Link link_;
  const Programs programs_;
};

}  // namespace

void register_exec(Registry& registry) {
  IsolationEntry entry;
  entry.needs_server = true;
  entry.runs_programs = true;
  entry.make = [](const IsolationSetup& setup) -> Result<std::unique_ptr<Isolation>> {
    Programs programs;
    for (const KindSpec& kind : setup.kinds) {
      auto program = Program::make(kind);
      if (!program) return tl::unexpected<Error>(std::move(program.error()));
      programs.insert_or_assign(kind.kind, std::move(*program));
    }
    auto link = Link::open(setup);
    if (!link) return tl::unexpected<Error>(std::move(link.error()));
    return std::make_unique<ExecIsolation>(std::move(*link), std::move(programs));
  };
  registry.add_isolation("exec", std::move(entry));
}

}  // namespace carrel

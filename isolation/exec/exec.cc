#include <carrel/exec.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <tuple>

#include "blueprint.h"
#include "box.h"
#include "channel.h"
#include "exec_run.h"
#include "files_out.h"
#include "program.h"
#include "room_link.h"
#include "server_link.h"

namespace carrel {
namespace {

using namespace process;

// Where programs run: as plain children of the process server, or in the sandboxes of one
// profile.
struct Place {
  std::optional<SandboxProfile> profile;
  std::shared_ptr<const SandboxTerms> terms;  // nullptr: plain
  Link link;
};

struct Entry {
  Program program;
  Place* place;
};
using Entries = std::map<std::string, Entry, std::less<>>;

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

// Of the profiles that several kinds share, one.
class Places {
 public:
  Result<Place*> of(const IsolationSetup& setup, const KindSpec& kind) {
    const bool bare = !kind.sandbox || kind.sandbox->tier == SandboxTier::kNone;
    const auto profile = bare ? std::optional<SandboxProfile>() : kind.sandbox;
    for (const auto& place : all_) {
      if (place->profile == profile) return place.get();
    }
    auto made = profile ? in_sandboxes(setup, *profile) : plain(setup);
    if (!made) {
      Error error = std::move(made.error());
      if (profile) error.message = "kind \"" + kind.kind + "\": " + error.message;
      return tl::unexpected<Error>(std::move(error));
    }
    return all_.emplace_back(std::make_unique<Place>(std::move(*made))).get();
  }
  void close() noexcept {
    for (const auto& place : all_) place->link.close();
  }

 private:
  static Result<Place> plain(const IsolationSetup& setup) {
    auto link = Link::open(setup);
    if (!link) return tl::unexpected<Error>(std::move(link.error()));
    return Place{{}, {}, std::move(*link)};
  }

  static Result<Place> in_sandboxes(const IsolationSetup& setup,
                                    const SandboxProfile& profile) {
    auto blueprint = sandbox::draw(profile);
    if (!blueprint) return tl::unexpected<Error>(std::move(blueprint.error()));
    auto terms = std::make_shared<SandboxTerms>();
    terms->stderr_limit = profile.stderr_limit;
    terms->files_out = profile.files_out;
    auto enforced = std::make_shared<std::vector<std::string>>();
    terms->enforced = enforced;
    auto dial = [blueprint = sandbox::encode(*blueprint),
                 enforced](std::stop_token stop) -> Result<UniqueFd> {
      auto room = sandbox::open_room(blueprint, stop);
      if (!room) return tl::unexpected<Error>(std::move(room.error()));
      // Of the first room; one that is made anew is on the same machine.
      if (enforced->empty()) *enforced = std::move(room->enforced);
      return std::move(room->channel);
    };
    auto link = Link::open(setup, std::move(dial));
    if (!link) return tl::unexpected<Error>(std::move(link.error()));
    return Place{profile, std::move(terms), std::move(*link)};
  }

  std::vector<std::unique_ptr<Place>> all_;
};

class ExecIsolation final : public Isolation {
 public:
  ExecIsolation(Places places, Entries entries)
      : places_(std::move(places)), entries_(std::move(entries)) {}
  ~ExecIsolation() override { places_.close(); }

  IsolationTraits traits() const noexcept override {
    return {.contains_crash = true, .can_kill = true, .runs_programs = true};
  }

  std::vector<Result<std::shared_ptr<Run>>> start(std::span<Task> tasks) override {
    std::vector<Result<std::shared_ptr<Run>>> answers;
    answers.reserve(tasks.size());
    while (!tasks.empty()) {
      const Entry* entry = find(tasks.front());
      if (entry == nullptr) {
        answers.emplace_back(
            tl::unexpect,
            Error{Code::kNotFound,
                  "no program for the kind \"" + tasks[0].job->kind + "\"", "exec"});
        tasks = tasks.subspan(1);
        continue;
      }
      // Together, as far as they go the same way.
      std::size_t count = 1;
      for (; count < tasks.size(); ++count) {
        const Entry* next = find(tasks[count]);
        if (next == nullptr || next->place != entry->place) break;
      }
      auto part = entry->place->link.start(
          tasks.first(count),
          [this](std::span<Task> some, const std::shared_ptr<Channel>& channel) {
            return launch_all(some, channel);
          });
      std::move(part.begin(), part.end(), std::back_inserter(answers));
      tasks = tasks.subspan(count);
    }
    return answers;
  }

 private:
  const Entry* find(const Task& task) const {
    const auto it = entries_.find(task.job->kind);
    return it == entries_.end() ? nullptr : &it->second;
  }

  // Of one place, on its channel. A task for which there is no descriptor or memory ends
  // as resource_error.
  Link::Answers launch_all(std::span<Task> tasks,
                           const std::shared_ptr<Channel>& channel) const {
    Link::Answers answers;
    answers.reserve(tasks.size());
    std::vector<Launch> launches;
    launches.reserve(tasks.size());
    for (Task& task : tasks) {
      auto made = launch(*find(task), task, channel);
      if (made) {
        answers.emplace_back(made->run);
        launches.push_back(std::move(*made));
      } else if (made.error().code == Code::kUnavailable) {
        answers.emplace_back(
            end_unstarted(task, OutcomeClass::kResourceError, std::move(made.error())));
      } else {
        answers.emplace_back(tl::unexpect, std::move(made.error()));
      }
    }
    if (!channel->start(launches)) {
      // It died between the two calls: these share the lot of those it was running.
      for (const auto& started : launches) started.run->lost();
    }
    return answers;
  }

  // An error: the task is as it was.
  static Result<Launch> launch(const Entry& entry, Task& task,
                               const std::shared_ptr<Channel>& channel) {
    const auto& profile = entry.place->profile;
    Launch launch;
    launch.head.ask = Ask::kSpawn;
    launch.head.drain_ms = static_cast<std::uint32_t>(
        std::clamp<Duration::rep>(task.limits.drain_grace.count() / 1000, 0, 3'600'000));
    launch.body = entry.program.request(*task.job);
    if (profile) {
      std::vector<std::pair<std::string, std::string>> files;
      if (!profile->files_in.empty()) {
        auto found = files_of_arguments(task.job->payload, profile->files_in);
        if (!found) return tl::unexpected<Error>(std::move(found.error()));
        files = std::move(*found);
      }
      launch.body = sandbox::box_request(launch.body, files);
    }
    FdPair input = write_pipe();
    FdPair output = read_pipe();
    FdPair error = read_pipe();
    FdPair notes = read_pipe();
    FdPair folder;
    const bool wants_folder = profile && !profile->files_out.empty();
    if (wants_folder) folder = socket_pair(SOCK_SEQPACKET);
    if (!input.first || !output.first || !error.first || !notes.first ||
        (wants_folder && !folder.first)) {
      return os_error(Code::kUnavailable, "no pipe for the job", errno);
    }
    // /dev/stdout and its like open a pipe anew, by its owner's rights.
    if (profile && geteuid() == 0) {
      for (const FdPair* pair : {&input, &output, &error, &notes}) {
        if (pair->second)
          std::ignore = fchown(pair->second.get(), profile->user, profile->user);
      }
    }
    launch.fds.reserve(6);
    for (FdPair* pair : {&input, &output, &error, &notes, &folder}) {
      if (pair->second) launch.fds.push_back(std::move(pair->second));
    }
    const std::size_t written = write_first(input.first, task.job->payload);
    launch.run = std::make_shared<ExecRun>(
        std::move(task), channel, entry.program,
        ExecPipes{std::move(input.first), std::move(output.first), std::move(error.first),
                  std::move(notes.first), std::move(folder.first)},
        written, entry.place->terms);
    return launch;
  }

  Places places_;
  const Entries entries_;
};

}  // namespace

void register_exec(Registry& registry) {
  IsolationEntry entry;
  entry.needs_server = true;
  entry.runs_programs = true;
  entry.make = [](const IsolationSetup& setup) -> Result<std::unique_ptr<Isolation>> {
    Places places;
    Entries entries;
    for (const KindSpec& kind : setup.kinds) {
      auto program = Program::make(kind);
      if (!program) return tl::unexpected<Error>(std::move(program.error()));
      auto place = places.of(setup, kind);
      if (!place) return tl::unexpected<Error>(std::move(place.error()));
      entries.insert_or_assign(kind.kind, Entry{std::move(*program), *place});
    }
    return std::make_unique<ExecIsolation>(std::move(places), std::move(entries));
  };
  registry.add_isolation("exec", std::move(entry));
}

}  // namespace carrel

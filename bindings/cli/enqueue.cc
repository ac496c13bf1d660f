#include <vector>

#include "commands.h"
#include "json_input.h"
#include "session.h"
#include "text.h"
#include "waiting.h"

namespace carrel::cli {
namespace {

struct Input {
  std::vector<Request> requests;
  std::vector<std::size_t> lines;  // of each; empty: there are no lines
};

Result<Input> read(const EnqueueArgs& args) {
  Input all;
  std::string text = args.args;
  if (args.lines || args.args == "-") {
    auto input = read_input();
    if (!input) return tl::unexpected<Error>(input.error());
    text = std::move(*input);
  }
  if (!args.lines) {
    Request request{args.kind, Json(), args.options};
    if (!text.empty()) {
      auto json = parse_json(text, "the arguments");
      if (!json) return tl::unexpected<Error>(json.error());
      request.args = std::move(*json);
    }
    all.requests.push_back(std::move(request));
    return all;
  }
  std::string_view rest = text;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto json = parse_json(line, "the arguments of line " + std::to_string(number));
    if (!json) return tl::unexpected<Error>(json.error());
    all.requests.push_back({args.kind, std::move(*json), args.options});
    all.lines.push_back(number);
  }
  return all;
}

void print(const Inserted& job, bool json) {
  if (json) {
    print_json(
        {{"id", value(job.id)}, {"existed", job.existed}, {"replaced", job.replaced}});
  } else {
    std::printf("%llu\n", static_cast<unsigned long long>(value(job.id)));
  }
}

void note_unknown(const Engine& engine, const std::string& kind) {
  const auto& kinds = engine.config().jobs;
  if (kinds.empty() || kinds.contains(kind)) return;
  complain("kind \"" + printable(kind) +
           "\" is not in the configuration: its jobs wait for a worker that knows it");
}

}  // namespace

int enqueue(const Global& global, const EnqueueArgs& args) {
  // All of the input is read and checked before the first job is enqueued.
  const auto input = read(args);
  if (!input) return failed(input.error());
  auto engine = connect(global);
  if (!engine) return failed(engine.error());

  const std::span all(input->requests);
  std::vector<JobId> ids;
  std::vector<Inserted> stored;
  int code = kOk;
  std::size_t at = 0;
  while (at < all.size() && code == kOk) {
    // One that is refused keeps no other of its batch from being stored.
    for (const auto& job :
         engine->insert(all.subspan(at, std::min(kBatch, all.size() - at)))) {
      if (job) {
        ids.push_back(job->id);
        if (args.wait) {
          stored.push_back(*job);
        } else {
          print(*job, global.json);
        }
      } else {
        const Error& error = job.error();
        const bool said = code != kOk && error.code == Code::kUnavailable;
        if (!said) {
          complain(input->lines.empty() ? error.message
                                        : "line " + std::to_string(input->lines[at]) +
                                              ": " + error.message);
        }
        if (code == kOk) code = exit_code(error);
      }
      ++at;
    }
  }
  if (!ids.empty()) note_unknown(*engine, args.kind);
  if (code != kOk) {
    if (input->lines.empty()) return code;
    for (const Inserted& job : stored) print(job, global.json);
    complain(grouped(ids.size()) + " of " + grouped(all.size()) + " jobs were enqueued" +
             (at < all.size() ? "; those from line " + std::to_string(input->lines[at]) +
                                    " on were not tried"
                              : ""));
    return code;
  }
  if (!args.wait) return kOk;
  return wait_for(*engine, ids, args.wait_at_most, global.json);
}

}  // namespace carrel::cli

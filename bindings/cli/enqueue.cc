#include <vector>

#include "commands.h"
#include "json_input.h"
#include "session.h"
#include "text.h"
#include "waiting.h"

namespace carrel::cli {
namespace {

Result<std::vector<Request>> requests(const EnqueueArgs& args) {
  std::vector<Request> all;
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
    all.push_back(std::move(request));
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
    all.push_back({args.kind, std::move(*json), args.options});
  }
  return all;
}

}  // namespace

int enqueue(const Global& global, const EnqueueArgs& args) {
  // All of the input is read and checked before the first job is enqueued.
  const auto all = requests(args);
  if (!all) return failed(all.error());
  auto engine = connect(global);
  if (!engine) return failed(engine.error());

  if (const auto& kinds = engine->config().jobs;
      !kinds.empty() && !kinds.contains(args.kind)) {
    complain("kind \"" + printable(args.kind) +
             "\" is not in the configuration: its jobs wait for a worker that knows it");
  }
  std::vector<JobId> ids;
  for (std::size_t at = 0; at < all->size(); at += kBatch) {
    const auto batch = std::span(*all).subspan(at, std::min(kBatch, all->size() - at));
    for (const auto& job : engine->insert(batch)) {
      if (!job) {
        if (!ids.empty()) complain(grouped(ids.size()) + " jobs were enqueued before:");
        return failed(job.error());
      }
      ids.push_back(job->id);
      if (args.wait) continue;
      if (global.json) {
        print_json({{"id", value(job->id)},
                    {"existed", job->existed},
                    {"replaced", job->replaced}});
      } else {
        std::printf("%llu\n", static_cast<unsigned long long>(value(job->id)));
      }
    }
  }
  if (!args.wait) return kOk;
  return wait_for(*engine, ids, args.wait_at_most, global.json);
}

}  // namespace carrel::cli

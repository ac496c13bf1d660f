// pause and resume
#include <algorithm>

#include "commands.h"
#include "session.h"
#include "text.h"
#include "wording.h"

namespace carrel::cli {
namespace {

// A name that is mistyped does nothing, and nobody would notice.
void note_unknown(const Global& global, Engine& engine, const std::string& queue) {
  const auto config = load_config(global);
  const auto counts = engine.store().monitor().counts();
  if (!config || !counts) return;
  std::vector<std::string> known = config->worker.queues;
  known.push_back(config->defaults.queue);
  for (const auto& [kind, job] : config->jobs) known.push_back(job.queue);
  for (const auto& [name, of] : config->queues) known.push_back(name);
  for (const auto& [name, of] : counts->by_queue) known.push_back(name);
  if (std::find(known.begin(), known.end(), queue) != known.end()) return;
  complain("no job is in a queue " + quote(queue) +
           ", and the configuration names none of that name" +
           did_you_mean(queue, known));
}

int set_paused(const Global& global, const std::vector<std::string>& queues,
               bool paused) {
  auto engine = connect(global, true);
  if (!engine) return failed(engine.error());
  for (const std::string& queue : queues) {
    const auto ok = paused ? engine->pause(queue) : engine->resume(queue);
    if (!ok) return failed(ok.error());
    note_unknown(global, *engine, queue);
    if (global.json) {
      print_json({{"queue", queue}, {"paused", paused}});
    } else {
      std::printf("queue %s: %s\n", printable(queue).c_str(),
                  paused ? "paused" : "resumed");
    }
  }
  return kOk;
}

}  // namespace

int pause(const Global& global, const PauseArgs& args) {
  return set_paused(global, args.queues, true);
}

int resume(const Global& global, const ResumeArgs& args) {
  return set_paused(global, args.queues, false);
}

}  // namespace carrel::cli

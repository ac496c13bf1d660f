// pause and resume
#include "commands.h"
#include "session.h"
#include "text.h"

namespace carrel::cli {
namespace {

int set_paused(const Global& global, const std::vector<std::string>& queues,
               bool paused) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  for (const std::string& queue : queues) {
    const auto ok = paused ? engine->pause(queue) : engine->resume(queue);
    if (!ok) return failed(ok.error());
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

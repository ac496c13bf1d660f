#include "bulk.h"
#include "commands.h"
#include "session.h"
#include "text.h"

namespace carrel::cli {
namespace {

struct Words {
  const char* json;
  const char* people;
};

Words words(Cancelled answer) {
  switch (answer) {
    case Cancelled::kCancelled:
      return {"cancelled", "cancelled"};
    case Cancelled::kRequested:
      return {"requested", "runs; it is told to stop"};
    case Cancelled::kAlreadyFinal:
      return {"already_final", "had ended already"};
    case Cancelled::kNotFound:
      break;
  }
  return {"not_found", "no such job"};
}

}  // namespace

int cancel(const Global& global, const CancelArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  const Bulk bulk;
  int code = kOk;
  std::size_t done = 0;
  for (const JobId id : args.ids) {
    const auto stop = [&](int why) {
      if (args.ids.size() > 1) tell_rest(done, args.ids.size(), "cancelled", id);
      return worse(code, why);
    };
    if (const int now = bulk.between(); now != kOk) return stop(now);
    const auto answer = engine->cancel(id);
    if (!answer) return stop(failed(answer.error()));
    if (*answer == Cancelled::kCancelled || *answer == Cancelled::kRequested) ++done;
    const Words said = words(*answer);
    const std::string line = "job " + std::to_string(value(id)) + ": " + said.people;
    if (*answer == Cancelled::kNotFound) code = kNotFound;
    if (global.json) {
      print_json({{"id", value(id)}, {"cancel", said.json}});
    } else if (*answer == Cancelled::kNotFound) {
      complain(line);
    } else {
      std::printf("%s\n", line.c_str());
    }
  }
  return code;
}

}  // namespace carrel::cli

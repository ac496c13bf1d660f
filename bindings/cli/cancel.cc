#include "bulk.h"
#include "chosen.h"
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

// True: it changed something.
bool say(const Global& global, JobId id, Cancelled answer) {
  const Words said = words(answer);
  const std::string line = "job " + std::to_string(value(id)) + ": " + said.people;
  if (global.json) {
    print_json({{"id", value(id)}, {"cancel", said.json}});
  } else if (answer == Cancelled::kNotFound) {
    complain(line);
  } else {
    std::printf("%s\n", line.c_str());
  }
  return answer == Cancelled::kCancelled || answer == Cancelled::kRequested;
}

void say_would(const Global& global, JobId id) {
  if (global.json) {
    print_json({{"id", value(id)}, {"cancel", nullptr}});
  } else {
    std::printf("%llu\n", static_cast<unsigned long long>(value(id)));
  }
}

int cancel_chosen(const Global& global, const CancelArgs& args, Engine& engine) {
  Change change;
  change.would = [&](JobId id) { say_would(global, id); };
  change.batch = [&](std::span<const JobId> batch,
                     std::size_t& done) -> std::optional<Error> {
    const auto answers = engine.store().cancel(batch);
    if (!answers) return answers.error();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (say(global, batch[i], (*answers)[i])) ++done;
    }
    return {};
  };
  return change_chosen(engine, args, {"cancel", "cancelled"}, change).code;
}

// kOk, or why it cannot be said.
int look_at(const Global& global, Engine& engine, JobId id) {
  const auto job = engine.job(id);
  if (!job) return failed(job.error());
  if (is_final(job->state)) {
    say(global, id, Cancelled::kAlreadyFinal);
  } else {
    say_would(global, id);
  }
  return kOk;
}

int cancel_ids(const Global& global, const CancelArgs& args, Engine& engine) {
  const Bulk bulk;
  int code = kOk;
  std::size_t done = 0;
  for (const JobId id : args.ids) {
    const auto stop = [&](int why) {
      if (args.ids.size() > 1) {
        tell_rest(done, args.ids.size(), args.dry_run ? "looked at" : "cancelled", id);
      }
      return worse(code, why);
    };
    if (const int now = bulk.between(); now != kOk) return stop(now);
    if (args.dry_run) {
      const int why = look_at(global, engine, id);
      if (why == kStoreAway) return stop(why);
      if (why == kOk) ++done;
      code = worse(code, why);
      continue;
    }
    const auto answer = engine.cancel(id);
    if (!answer) return stop(failed(answer.error()));
    if (say(global, id, *answer)) ++done;
    if (*answer == Cancelled::kNotFound) code = kNotFound;
  }
  return code;
}

}  // namespace

int cancel(const Global& global, const CancelArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  return args.ids.empty() ? cancel_chosen(global, args, *engine)
                          : cancel_ids(global, args, *engine);
}

}  // namespace carrel::cli

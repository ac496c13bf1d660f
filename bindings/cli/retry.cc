#include <optional>

#include "bulk.h"
#include "chosen.h"
#include "commands.h"
#include "session.h"
#include "text.h"

namespace carrel::cli {
namespace {

void say(const Global& global, JobId id, bool dry) {
  if (global.json) {
    print_json({{"id", value(id)}, {"retried", !dry}});
  } else {
    std::printf("%llu\n", static_cast<unsigned long long>(value(id)));
  }
}

int retry_chosen(const Global& global, const RetryArgs& args, Engine& engine) {
  std::optional<Error> refused;  // the first
  Change change;
  change.would = [&](JobId id) { say(global, id, true); };
  change.batch = [&](std::span<const JobId> batch, std::size_t& done) {
    // The tickets are left: whoever runs these jobs finds their rows.
    const auto answers = engine.store().retry(batch);
    std::optional<Error> away;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (answers[i]) {
        ++done;
        say(global, batch[i], false);
      } else if (exit_code(answers[i].error()) == kStoreAway) {
        away = answers[i].error();
      } else if (!refused) {  // most likely it moved on since it was listed
        refused = answers[i].error();
      }
    }
    return away;
  };
  const Changed changed = change_chosen(engine, args, {"retry", "retried"}, change);
  if (changed.code != kOk || !refused) return changed.code;
  const std::size_t left = changed.of - changed.done;
  complain(counted(left, "job") + (left == 1 ? " was" : " were") +
           " not: " + refused->message);
  return exit_code(*refused);
}

int retry_ids(const Global& global, const RetryArgs& args, Engine& engine) {
  const Bulk bulk;
  int code = kOk;
  std::size_t done = 0;
  for (const JobId id : args.ids) {
    if (const int now = bulk.between(); now != kOk) {
      tell_rest(done, args.ids.size(), args.dry_run ? "looked at" : "retried", id);
      return worse(code, now);
    }
    const auto ok =
        args.dry_run ? engine.job(id).map([](const JobRecord&) {}) : engine.retry(id);
    if (ok) {
      say(global, id, args.dry_run);
      ++done;
    } else {
      code = worse(code, failed(ok.error()));
    }
  }
  return code;
}

}  // namespace

int retry(const Global& global, const RetryArgs& args) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  return args.ids.empty() ? retry_chosen(global, args, *engine)
                          : retry_ids(global, args, *engine);
}

}  // namespace carrel::cli

#include <algorithm>
#include <vector>

#include "bulk.h"
#include "commands.h"
#include "json_input.h"
#include "session.h"
#include "text.h"
#include "waiting.h"

namespace carrel::cli {
namespace {

constexpr std::size_t kBatchBytes = 8U << 20;  // of lines

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
  complain("kind \"" + cut(printable(kind), 60) +
           "\" is not in the configuration: its jobs wait for a worker that knows it");
}

class Enqueuing {
 public:
  Enqueuing(const EnqueueArgs& args, bool json, Engine& engine)
      : args_(args), json_(json), engine_(engine) {}

  int one(Json arguments) {
    batch_.push_back({args_.kind, std::move(arguments), args_.options});
    store();
    return code_;
  }

  // A batch with a line that is no JSON is not stored, and nothing is after a batch of
  // which a job was refused.
  int lines(const Bulk& bulk) {
    Lines input(bulk.interrupt().descriptor());
    while (code_ == kOk && read(input)) {
      store();
      rest_ = last_ ? 0 : input.number() + 1;
      const int now = bulk.between();
      if (!last_) code_ = worse(code_, now);
    }
    if (code_ != kOk && (input.number() > 0 || code_ == kInterrupted)) {
      for (const Inserted& job : stored_) print(job, json_);
      complain((tried_ == 0 ? "no job was enqueued"
                            : grouped(enqueued_) + " of " + counted(tried_, "job") +
                                  (tried_ == 1 ? " was" : " were") + " enqueued") +
               (rest_ > 0
                    ? "; those from line " + std::to_string(rest_) + " on were not tried"
                    : ""));
    }
    return code_;
  }

  bool any() const { return enqueued_ > 0; }
  const std::vector<Inserted>& stored() const { return stored_; }  // with --wait

 private:
  // The next batch; false: there is none, or it is not to be stored.
  bool read(Lines& input) {
    batch_.clear();
    numbers_.clear();
    rest_ = input.number() + 1;
    std::size_t bytes = 0;
    while (batch_.size() < kBatch && bytes < kBatchBytes && !last_) {
      auto line = input.next();
      if (!line) return refuse(line.error());
      last_ = !*line;
      if (last_) break;
      const std::string name = "line " + std::to_string((*line)->number);
      if ((*line)->too_long) {
        ++tried_;
        refuse({Code::kTooLarge, name + ": has more than 64 MiB", "enqueue"});
        continue;
      }
      auto json = parse_json((*line)->text, "the arguments of " + name);
      if (!json) return refuse(json.error());
      bytes += (*line)->text.size();
      batch_.push_back({args_.kind, std::move(*json), args_.options});
      numbers_.push_back((*line)->number);
    }
    if (input.stopped()) code_ = worse(code_, kInterrupted);
    return !input.stopped() && !batch_.empty();
  }

  // One that is refused keeps no other of its batch from being stored.
  void store() {
    std::size_t at = 0;
    for (auto& job : engine_.insert(batch_)) {
      if (!job) {
        Error& error = job.error();
        if (!numbers_.empty()) {
          error.message.insert(0, "line " + std::to_string(numbers_[at]) + ": ");
        }
        refuse(error);
      } else if (args_.wait) {
        job->ticket.reset();
        stored_.push_back(std::move(*job));
      } else {
        print(*job, json_);
      }
      enqueued_ += job ? 1 : 0;
      ++at;
    }
    tried_ += at;
  }

  bool refuse(const Error& error) {
    // Of a store that is away, once is enough.
    if (code_ == kOk || error.code != Code::kUnavailable) complain(error.message);
    code_ = worse(code_, exit_code(error));
    return false;
  }

  const EnqueueArgs& args_;
  const bool json_;
  Engine& engine_;
  std::vector<Request> batch_;
  std::vector<std::size_t> numbers_;  // of its lines
  bool last_ = false;                 // nothing follows
  std::size_t rest_ = 0;  // the line from which on nothing was tried; 0: there is none
  std::size_t tried_ = 0;
  std::size_t enqueued_ = 0;
  std::vector<Inserted> stored_;
  int code_ = kOk;
};

Result<Json> arguments(const EnqueueArgs& args) {
  const auto text = args.args == "-" ? read_input() : Result<std::string>(args.args);
  if (!text) return tl::unexpected<Error>(text.error());
  return text->empty() ? Json() : parse_json(*text, "the arguments");
}

int wait(const EnqueueArgs& args, bool json, Engine& engine, const Bulk& bulk,
         const std::vector<Inserted>& jobs) {
  std::vector<JobId> ids;
  for (const Inserted& job : jobs) ids.push_back(job.id);
  const Waited waited = wait_for(engine, ids, args.wait_at_most, bulk, json);
  if (waited.told == jobs.size()) return waited.code;
  std::string rest;
  for (const Inserted& job : std::span(jobs).subspan(waited.told)) {
    if (json) print(job, true);
    rest += (rest.empty() ? "" : ", ") + std::to_string(value(job.id));
  }
  complain("not waited for any longer: " + rest);
  return waited.code;
}

}  // namespace

int enqueue(const Global& global, const EnqueueArgs& args) {
  auto json = args.lines ? Json() : arguments(args);
  if (!json) return failed(json.error());
  auto engine = connect(global, true);
  if (!engine) return failed(engine.error());
  std::optional<Bulk> bulk;
  if (args.lines || args.wait) bulk.emplace();
  Enqueuing enqueuing(args, global.json, *engine);
  const int code = args.lines ? enqueuing.lines(*bulk) : enqueuing.one(std::move(*json));
  if (enqueuing.any()) note_unknown(*engine, args.kind);
  if (code != kOk || !args.wait) return code;
  return wait(args, global.json, *engine, *bulk, enqueuing.stored());
}

}  // namespace carrel::cli

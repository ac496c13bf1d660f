#include "check.h"

#include <string>
#include <utility>

namespace carrel::sql {
namespace {

constexpr std::size_t kLongestName = 128;

Result<void> check_name(std::string_view what, std::string_view name,
                        std::string_view origin) {
  const auto bad = [&](std::string_view why) {
    return fail(Code::kInvalid, std::string(what).append(why), std::string(origin));
  };
  if (name.empty()) return bad(" is empty");
  if (name.size() > kLongestName) {
    return bad(" has " + std::to_string(name.size()) + " bytes; at most 128 are allowed");
  }
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return bad(" contains a control character (byte " + std::to_string(byte) + ")");
    }
  }
  return {};
}

}  // namespace

Result<void> check_queue(std::string_view name, std::string_view origin) {
  return check_name("the queue's name", name, origin);
}

Result<void> check_size(std::string_view what, std::size_t bytes,
                        std::uint64_t max_payload, std::string_view origin) {
  if (bytes <= max_payload) return {};
  return fail(Code::kTooLarge,
              std::string(what) + " has " + std::to_string(bytes) +
                  " bytes; this store takes " + std::to_string(max_payload),
              std::string(origin));
}

const std::optional<std::string>& kept_checkpoint(
    JobId job, const std::optional<std::string>& checkpoint, std::uint64_t max_payload,
    const LogFn& log) {
  static const std::optional<std::string> kNone;
  if (!checkpoint || checkpoint->size() <= max_payload) return checkpoint;
  log(LogLevel::kWarn, "the checkpoint of job " + std::to_string(value(job)) +
                           " is too large and was not stored");
  return kNone;
}

Result<void> check(const NewJob& job, std::uint64_t max_payload,
                   std::string_view origin) {
  if (auto ok = check_queue(job.queue, origin); !ok) return ok;
  if (auto ok = check_name("the job's kind", job.kind, origin); !ok) return ok;
  const auto bad = [&](std::string_view field, std::string_view why) {
    std::string message(field);
    return fail(Code::kInvalid, message.append(" of \"").append(job.kind).append(why),
                std::string(origin));
  };
  if (job.max_attempts == 0) return bad("max_attempts", "\" is 0; at least 1");
  if (job.limit) {
    constexpr std::size_t kLongestKey = 256;
    const std::size_t bytes = job.limit->key.size();
    if (bytes == 0 || bytes > kLongestKey) {
      return bad("the limit's key",
                 "\" has " + std::to_string(bytes) + " bytes; 1 to 256 are allowed");
    }
    if (job.limit->running == 0) return bad("the limit", "\" is 0; at least 1");
  }
  if (job.rate) {
    constexpr std::size_t kLongestKey = 256;
    const std::size_t bytes = job.rate->key.size();
    if (bytes == 0 || bytes > kLongestKey) {
      return bad("the rate's key",
                 "\" has " + std::to_string(bytes) + " bytes; 1 to 256 are allowed");
    }
    if (job.rate->starts == 0) return bad("the rate", "\" is 0; at least 1");
    if (job.rate->period <= Duration::zero() ||
        job.rate->period > std::chrono::hours(24 * 31)) {
      return bad("the rate's period", "\" must be above 0 and at most 31 days");
    }
  }
  if (job.unique) {
    constexpr std::size_t kLongestKey = 256;
    const std::size_t bytes = job.unique->key.size();
    if (bytes == 0 || bytes > kLongestKey) {
      return bad("the unique key",
                 "\" has " + std::to_string(bytes) + " bytes; 1 to 256 are allowed");
    }
    if (job.unique->states.empty()) return bad("the unique key", "\" counts in no state");
    if (job.unique->period < Duration::zero()) {
      return bad("the unique period", "\" is negative");
    }
  }
  for (const auto& [field, duration] :
       {std::pair("delay", job.delay), std::pair("start_within", job.start_within),
        std::pair("timeout", job.timeout)}) {
    if (duration < Duration::zero()) return bad(field, "\" is negative");
  }
  return check_size("the payload of \"" + job.kind + "\"", job.payload.size(),
                    max_payload, origin);
}

}  // namespace carrel::sql

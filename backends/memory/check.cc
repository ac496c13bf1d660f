#include "check.h"

namespace carrel::memory {
namespace {

Result<void> check_name(const char* what, const std::string& name) {
  constexpr std::size_t kLongest = 128;
  if (name.empty())
    return fail(Code::kInvalid, std::string(what) + " is empty", "memory");
  if (name.size() > kLongest) {
    return fail(Code::kInvalid,
                std::string(what) + " has " + std::to_string(name.size()) +
                    " bytes; at most 128 are allowed",
                "memory");
  }
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return fail(Code::kInvalid,
                  std::string(what) + " contains a control character (byte " +
                      std::to_string(byte) + ")",
                  "memory");
    }
  }
  return {};
}

}  // namespace

Result<void> check_queue(const std::string& name) {
  return check_name("the queue's name", name);
}

Result<void> check(const NewJob& job, const NewJob* checked) {
  if (checked == nullptr || job.queue != checked->queue || job.kind != checked->kind) {
    if (auto ok = check_queue(job.queue); !ok) return ok;
    if (auto ok = check_name("the job's kind", job.kind); !ok) return ok;
  }
  if (job.max_attempts == 0) {
    return fail(Code::kInvalid, "max_attempts of \"" + job.kind + "\" is 0; at least 1",
                "memory");
  }
  if (job.limit) {
    if (job.limit->key.empty() || job.limit->key.size() > 256) {
      return fail(Code::kInvalid,
                  "the limit's key of \"" + job.kind + "\" has " +
                      std::to_string(job.limit->key.size()) +
                      " bytes; 1 to 256 are allowed",
                  "memory");
    }
    if (job.limit->running == 0) {
      return fail(Code::kInvalid, "the limit of \"" + job.kind + "\" is 0; at least 1",
                  "memory");
    }
  }
  if (job.rate) {
    if (job.rate->key.empty() || job.rate->key.size() > 256) {
      return fail(Code::kInvalid,
                  "the rate's key of \"" + job.kind + "\" has " +
                      std::to_string(job.rate->key.size()) +
                      " bytes; 1 to 256 are allowed",
                  "memory");
    }
    if (job.rate->starts == 0) {
      return fail(Code::kInvalid, "the rate of \"" + job.kind + "\" is 0; at least 1",
                  "memory");
    }
    if (job.rate->period <= Duration::zero() ||
        job.rate->period > std::chrono::hours(24 * 31)) {
      return fail(
          Code::kInvalid,
          "the rate's period of \"" + job.kind + "\" must be above 0 and at most 31 days",
          "memory");
    }
  }
  if (job.unique) {
    if (job.unique->key.empty() || job.unique->key.size() > 256) {
      return fail(Code::kInvalid,
                  "the unique key of \"" + job.kind + "\" has " +
                      std::to_string(job.unique->key.size()) +
                      " bytes; 1 to 256 are allowed",
                  "memory");
    }
    if (job.unique->states.empty()) {
      return fail(Code::kInvalid,
                  "the unique key of \"" + job.kind + "\" counts in no state", "memory");
    }
    if (job.unique->period < Duration::zero()) {
      return fail(Code::kInvalid, "the unique period of \"" + job.kind + "\" is negative",
                  "memory");
    }
  }
  for (const auto& [what, d] :
       {std::pair("delay", job.delay), std::pair("start_within", job.start_within),
        std::pair("timeout", job.timeout)}) {
    if (d < Duration::zero()) {
      return fail(Code::kInvalid,
                  std::string(what) + " of \"" + job.kind + "\" is negative", "memory");
    }
  }
  return {};
}

}  // namespace carrel::memory

#include "call.h"

#include <algorithm>
#include <type_traits>

namespace carrel::zmq {
namespace {

constexpr Duration kLongest = std::chrono::hours(24 * 366 * 100);
constexpr Duration kLongestLease = std::chrono::hours(24 * 366);
constexpr std::size_t kMaxWorker = 256;
constexpr std::size_t kMaxName = 128;

template <std::size_t i = 0>
std::optional<Request> read(Type type, std::string_view body) {
  if constexpr (i < std::variant_size_v<Request>) {
    using M = std::variant_alternative_t<i, Request>;
    if (type != M::kType) return read<i + 1>(type, body);
    M message;
    if (!decode(body, message)) return std::nullopt;
    if constexpr (std::is_same_v<M, AwaitAsk>) {  // each once
      std::sort(message.ids.begin(), message.ids.end());
      message.ids.erase(std::unique(message.ids.begin(), message.ids.end()),
                        message.ids.end());
    }
    return Request(std::move(message));
  }
  return std::nullopt;
}

tl::unexpected<Error> bad(std::string why) {
  return fail(Code::kInvalid, std::move(why), "zmq");
}

Result<void> check_rows(std::size_t rows, std::size_t most) {
  if (rows <= most) return {};
  return bad(std::to_string(rows) + " rows in one request; at most " +
             std::to_string(most) + " are allowed");
}

Result<void> check_duration(const char* what, Duration d, Duration most) {
  if (d >= Duration::zero() && d <= most) return {};
  return bad(std::string(what) + " is negative or too long");
}

Result<void> check_run(const std::string& worker, Duration lease) {
  if (worker.empty() || worker.size() > kMaxWorker) {
    return bad("a worker's name has 1 to 256 bytes");
  }
  if (lease <= Duration::zero()) return bad("a lease is longer than nothing");
  return check_duration("the lease", lease, kLongestLease);
}

struct Check {
  std::size_t max_batch;

  // It may wait for long, and whatever comes is compared with each of its names.
  Result<void> check_demand(const Demanded& m) const {
    for (const auto* names : {&m.queues, &m.kinds}) {
      if (auto ok = check_rows(names->size(), max_batch); !ok) return ok;
      for (const std::string& name : *names) {
        if (name.empty() || name.size() > kMaxName) {
          return bad("the name of a queue or kind has 1 to 128 bytes");
        }
      }
    }
    return check_rows(m.bounds.size(), max_batch);
  }

  Result<void> operator()(const Enqueue& m) const {
    for (const NewJob& job : m.jobs) {
      for (const auto& [what, d] :
           {std::pair("delay", job.delay), std::pair("start_within", job.start_within),
            std::pair("timeout", job.timeout)}) {
        if (auto ok = check_duration(what, d, kLongest); !ok) return ok;
      }
    }
    return check_rows(m.jobs.size(), max_batch);
  }
  Result<void> operator()(const Take& m) const {
    if (auto ok = check_rows(m.max, max_batch); !ok) return ok;
    if (auto ok = check_demand(m); !ok) return ok;
    return check_run(m.worker, m.lease);
  }
  Result<void> operator()(const ClaimAsk& m) const {
    if (auto ok = check_rows(m.tickets.size(), max_batch); !ok) return ok;
    return check_run(m.worker, m.lease);
  }
  Result<void> operator()(const BeatAsk& m) const { return check_run(m.worker, m.lease); }
  Result<void> operator()(const FinishAsk& m) const {
    for (const Finish& run : m.runs) {
      if (auto ok = check_duration("retry_in", run.retry_in, kLongest); !ok) return ok;
    }
    return check_rows(m.runs.size(), max_batch);
  }
  Result<void> operator()(const Publish& m) const {
    return check_rows(m.tickets.size(), max_batch);
  }
  Result<void> operator()(const PeekAsk& m) const { return check_demand(m); }
  Result<void> operator()(const ReceiveAsk& m) const {
    if (auto ok = check_demand(m); !ok) return ok;
    return check_rows(m.max, max_batch);
  }
  Result<void> operator()(const CancelAsk& m) const {
    return check_rows(m.ids.size(), max_batch);
  }
  Result<void> operator()(const RetryAsk& m) const {
    return check_rows(m.ids.size(), max_batch);
  }
  Result<void> operator()(const ListAsk& m) const {
    return check_duration("older_than", m.filter.older_than, kLongest);
  }
  template <class M>
  Result<void> operator()(const M& /*any*/) const {
    return {};
  }
};

}  // namespace

bool for_queue(Type type) noexcept {
  return type == Type::kPublish || type == Type::kReceive;
}

bool reads(Type type) noexcept {
  return type == Type::kJob || type == Type::kList || type == Type::kPeek;
}

bool done_once(Type type) noexcept {
  switch (type) {
    case Type::kEnqueue:
    case Type::kBeat:
    case Type::kFinish:
    case Type::kCancel:
    case Type::kSweep:
    case Type::kPause:
      return true;
    default:
      return false;
  }
}

KeyRole needed_for(Type type) noexcept {
  switch (type) {
    case Type::kTake:
    case Type::kClaim:
    case Type::kBeat:
    case Type::kFinish:
    case Type::kPeek:
    case Type::kSweep:
    case Type::kReceive:
      return KeyRole::kWorker;
    case Type::kRetry:
    case Type::kPause:
      return KeyRole::kAdmin;
    default:
      return KeyRole::kProducer;
  }
}

Duration wait_of(const Request& request) noexcept {
  if (const auto* m = std::get_if<Take>(&request)) return m->wait;
  if (const auto* m = std::get_if<AwaitAsk>(&request)) return m->wait;
  if (const auto* m = std::get_if<ReceiveAsk>(&request)) return m->wait;
  return Duration{0};
}

ClaimName claim_of(const Call& call) {
  if (const auto* m = std::get_if<Take>(&call.request)) {
    return {m->worker, m->claim_number};
  }
  const auto& m = std::get<ClaimAsk>(call.request);
  return {m.worker, m.claim_number};
}

std::optional<Request> read_request(Type type, std::string_view body) {
  return read(type, body);
}

Result<void> check(const Request& request, std::size_t max_batch) {
  return std::visit(Check{max_batch}, request);
}

}  // namespace carrel::zmq

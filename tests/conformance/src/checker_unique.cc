#include <algorithm>
#include <limits>
#include <sstream>
#include <tuple>
#include <unordered_map>

#include "checker_keys.h"

namespace carrel::conformance {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

bool names(const Event& unique, State state) {
  return (unique.attempt >> static_cast<unsigned>(state) & 1U) != 0;
}

// Of whatever is not final the logs cannot tell in which state it was.
bool names_all_active(const Event& unique) {
  for (std::size_t s = 0; s < kStateCount; ++s) {
    const auto state = static_cast<State>(s);
    if (!is_final(state) && !names(unique, state)) return false;
  }
  return true;
}

struct UniqueJob {
  const JobRecord* row;
  const Event* unique;
  // Between these it was there for sure, and not final.
  std::int64_t from = kNever;
  std::int64_t until = 0;
};

class UniqueKeys {
 public:
  UniqueKeys(std::span<const JobRecord> rows, const JobsSeen& seen,
             const RequestsSeen& requests, JobId after, const Broken& broken)
      : seen_(seen), requests_(requests), after_(after), broken_(broken) {
    for (const JobRecord& row : rows) add(row);
  }

  void check_holders() {
    for (auto& [key, jobs] : keys_) {
      std::sort(jobs.begin(), jobs.end(), [](const UniqueJob& a, const UniqueJob& b) {
        return std::tie(a.row->enqueued, a.row->id) <
               std::tie(b.row->enqueued, b.row->id);
      });
      for (std::size_t i = 1; i < jobs.size(); ++i) {
        for (std::size_t before = 0; before < i; ++before) {
          if (meets(jobs[before], jobs[i])) break;
        }
      }
    }
  }

  // How many requests have no job of their own.
  std::size_t check_answers() {
    std::size_t met = 0;
    for (const auto& [name, request] : requests_) {
      if (!request.unique || request.acks.empty()) continue;
      if (!own_.contains(name)) ++met;
      check(name, request);
    }
    return met;
  }

 private:
  void add(const JobRecord& row) {
    by_id_.emplace(value(row.id), &row);
    const auto request = requests_.find(row.request_id);
    if (row.request_id.empty() || request == requests_.end()) return;
    own_.emplace(row.request_id, row.id);
    if (!request->second.unique) return;
    UniqueJob job{&row, &*request->second.unique};
    for (const Event& ack : request->second.acks) {
      if (ack.id == value(row.id)) job.from = std::min(job.from, ack.time);
    }
    const auto runs = seen_.find(value(row.id));
    if (runs != seen_.end()) {
      const auto last = runs->second.runs.find(value(row.fence));
      if (last != runs->second.runs.end() && last->second.end) {
        job.until = last->second.end->time;
      }
    }
    keys_[job.unique->hash].push_back(job);
  }

  // True, and told: the second ought to have met the first.
  bool meets(const UniqueJob& first, const UniqueJob& second) {
    const Event& unique = *second.unique;
    const Duration since = second.row->enqueued - first.row->enqueued;
    if (unique.until > 0 && since.count() >= unique.until) return false;
    if (!names_all_active(unique)) return false;
    const bool always = names(unique, first.row->state);
    const bool together =
        std::max(first.from, second.from) < std::min(first.until, second.until);
    if (!always && !together) return false;
    tell(value(second.row->id), "it was enqueued ", since.count(), " us after job ",
         value(first.row->id), ", which its unique key should have met");
    return true;
  }

  void check(const std::string& name, const RequestSeen& request) {
    auto acks = request.acks;
    std::sort(acks.begin(), acks.end(),
              [](const Event& a, const Event& b) { return a.time < b.time; });
    const auto own = own_.find(name);
    bool known = false;
    for (const Event& ack : acks) {
      if (own != own_.end() && value(own->second) == ack.id) {
        known = true;
      } else if (known) {
        broken_(4, ack.id,
                "request " + name + " was answered with job " +
                    std::to_string(value(own->second)) + " before");
      } else if (ack.id > value(after_)) {
        check_met(name, request, ack);
      }
    }
  }

  void check_met(const std::string& name, const RequestSeen& request, const Event& ack) {
    const Event& unique = *request.unique;
    const auto row = by_id_.find(ack.id);
    if (row == by_id_.end()) {
      broken_(1, ack.id, "request " + name + " was acknowledged, and there is no row");
      return;
    }
    const auto holder = requests_.find(row->second->request_id);
    if (holder == requests_.end() || !holder->second.unique ||
        holder->second.unique->hash != unique.hash) {
      tell(ack.id, "request ", name,
           ", which has another unique key, was answered with it");
      return;
    }
    std::int64_t asked = 0;  // for the last time before the answer
    for (const Event& ask : request.asks) {
      if (ask.time <= ack.time) asked = std::max(asked, ask.time);
    }
    const auto seen = seen_.find(ack.id);
    if (seen != seen_.end() && !names(unique, State::kCompleted)) {
      for (const Event& done : seen->second.completions) {
        if (done.time < asked) {
          tell(ack.id, "request ", name, " met it ", asked - done.time,
               " us or more after it was completed");
        }
      }
    }
    std::int64_t there = kNever;
    for (const Event& first : holder->second.acks) {
      if (first.id == ack.id) there = std::min(there, first.time);
    }
    if (unique.until > 0 && there < asked && asked - there >= unique.until) {
      tell(ack.id, "request ", name, " met it ", asked - there,
           " us or more after it was enqueued");
    }
  }

  template <class... Parts>
  void tell(std::uint64_t id, const Parts&... parts) {
    std::ostringstream text;
    (text << ... << parts);
    broken_(12, id, text.str());
  }

  const JobsSeen& seen_;
  const RequestsSeen& requests_;
  const JobId after_;
  const Broken& broken_;
  std::unordered_map<std::uint64_t, const JobRecord*> by_id_;
  std::map<std::string, JobId> own_;                      // by request id
  std::map<std::uint64_t, std::vector<UniqueJob>> keys_;  // by the key's hash
};

}  // namespace

std::size_t check_uniques(std::span<const JobRecord> rows, const JobsSeen& seen,
                          const RequestsSeen& requests, JobId after,
                          const Broken& broken) {
  UniqueKeys keys(rows, seen, requests, after, broken);
  keys.check_holders();
  return keys.check_answers();
}

}  // namespace carrel::conformance

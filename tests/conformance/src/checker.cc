#include <carrel/conformance/checker.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "checker_keys.h"
#include "checker_seen.h"

namespace carrel::conformance {
namespace {

class Checker {
 public:
  Checker(std::vector<JobRecord> rows, JobId after)
      : rows_(std::move(rows)), after_(value(after)) {
    for (const JobRecord& r : rows_) by_id_.emplace(value(r.id), &r);
  }

  CheckReport run(std::span<const Event> events) {
    for (const Event& e : events) take(e);
    report_.rows = rows_.size();
    check_enqueues();
    for (const JobRecord& row : rows_) check_row(row);
    for (const auto& [id, seen] : jobs_) check_job(id, seen);
    const auto tell = [this](int rule, std::uint64_t id, const std::string& text) {
      broken(rule, id, text);
    };
    check_limits(rows_, jobs_, tell);
    check_rates(rows_, tell);
    report_.met = check_uniques(rows_, jobs_, requests_, JobId{after_}, tell);
    for (const std::uint64_t id : suspects_) tell_story(events, id);
    return std::move(report_);
  }

 private:
  template <class... Parts>
  void broken(int rule, std::uint64_t id, const Parts&... parts) {
    std::ostringstream text;
    text << "rule " << rule << ", job " << id << ": ";
    (text << ... << parts);
    report_.broken.push_back(text.str());
    constexpr std::size_t kFew = 3;
    if (suspects_.size() < kFew) suspects_.insert(id);
  }

  void tell_story(std::span<const Event> events, std::uint64_t id) {
    std::vector<Event> story;
    // Each beat says again of a run that it is stale, until its end is stored.
    std::copy_if(
        events.begin(), events.end(), std::back_inserter(story),
        [&](const Event& e) { return e.id == id && e.kind != Event::Kind::kBeatStale; });
    std::sort(story.begin(), story.end(),
              [](const Event& a, const Event& b) { return a.time < b.time; });
    for (const Event& e : story) {
      std::ostringstream text;
      text << "job " << id << ", " << e.time - story[0].time
           << " us: " << to_string(e.kind) << " fence " << e.fence;
      if (e.until != 0) text << ", lease until " << e.until - story[0].time << " us";
      if (!e.key.empty()) text << ", " << e.key;
      report_.stories.push_back(text.str());
    }
  }

  void take(const Event& e) {
    using Kind = Event::Kind;
    switch (e.kind) {
      case Kind::kAsk:
        requests_[e.key].asks.push_back(e);
        if (e.id != 0) unnamed_.emplace(e.hash, e.key);
        return;
      case Kind::kUnique:
        requests_[e.key].unique = e;
        return;
      case Kind::kAck:
        requests_[e.key].acks.push_back(e);
        return;
      default:
        break;
    }
    if (e.id <= after_) return;
    JobSeen& job = jobs_[e.id];
    RunSeen& run = job.runs[e.fence];
    switch (e.kind) {
      case Kind::kStart:
        if (run.start) broken(4, e.id, "two runs began under fence ", e.fence);
        run.start = e;
        ++report_.runs;
        break;
      case Kind::kEnd:
        run.end = e;
        break;
      case Kind::kClaim:
        if (++run.claims > 1) broken(4, e.id, "fence ", e.fence, " was granted twice");
        run.lease_until = std::max(run.lease_until, e.until);
        break;
      case Kind::kRenew:
        run.lease_until = std::max(run.lease_until, e.until);
        break;
      case Kind::kApplied:
        if (e.key == to_string(State::kCompleted)) job.completions.push_back(e);
        break;
      case Kind::kAlready:
        ++report_.already;
        break;
      case Kind::kStale:
        ++report_.stale_finishes;
        break;
      default:
        ++report_.stale_beats;
        break;
    }
  }

  void check_enqueues() {
    for (const auto& [key, request] : requests_) {
      if (request.acks.empty()) continue;
      ++(request.unnamed() ? report_.acknowledged_unnamed : report_.acknowledged);
      if (request.unique) continue;  // check_uniques
      const std::uint64_t id = request.acks.front().id;
      for (const Event& other : request.acks) {
        if (other.id == id) continue;
        broken(4, other.id, "request ", key, " was answered with job ", id, " too");
      }
      const auto it = by_id_.find(id);
      if (it == by_id_.end()) {
        broken(1, id, "request ", key, " was acknowledged, and there is no row");
      } else if (key_of(*it->second) != key) {
        broken(1, id, "request ", key, " was acknowledged; the row says ",
               key_of(*it->second));
      }
    }
    std::set<std::string> known;
    for (const JobRecord& row : rows_) {
      const std::string key = key_of(row);
      if (!key.empty() && !known.insert(key).second) {
        broken(4, value(row.id), "request ", key, " has two rows");
      }
    }
  }

  // Of the log; empty: it has none.
  std::string key_of(const JobRecord& row) const {
    if (!row.request_id.empty()) return row.request_id;
    const auto it = unnamed_.find(hash_of(row.payload));
    return it != unnamed_.end() ? it->second : std::string();
  }

  void check_row(const JobRecord& row) {
    const std::uint64_t id = value(row.id);
    if (row.limit) ++report_.limited;
    if (row.rate) ++report_.rated;
    switch (row.state) {
      case State::kCompleted:
        ++report_.completed;
        break;
      case State::kDiscarded:
        ++report_.discarded;
        break;
      case State::kCancelled:
        ++report_.cancelled;
        break;
      case State::kRunning:
        broken(7, id, "still running");
        break;
      default:
        ++report_.waiting;
        break;
    }
    if (row.attempt > row.max_attempts) {
      broken(6, id, "attempt ", row.attempt, " of ", row.max_attempts);
    }
    if (row.request_id.empty()) ++report_.unnamed;
    const auto request = requests_.find(key_of(row));
    if (request != requests_.end() && request->second.unique) ++report_.unique;
    if (request == requests_.end() || request->second.asks.empty()) {
      broken(1, id, "nobody asked for it");
    } else if (request->second.asks.back().hash != hash_of(row.payload)) {
      broken(8, id, "the payload is not what was enqueued");
    }
    if (row.state != State::kCompleted) return;
    const auto seen = jobs_.find(id);
    const RunSeen* run = nullptr;
    if (seen != jobs_.end()) {
      const auto it = seen->second.runs.find(value(row.fence));
      if (it != seen->second.runs.end()) run = &it->second;
    }
    if (run == nullptr || !run->end) {
      broken(3, id, "completed under fence ", value(row.fence), ", where no run ended");
    } else if (run->end->hash != hash_of(row.result)) {
      broken(8, id, "the result is not what its run answered");
    }
  }

  void check_job(std::uint64_t id, const JobSeen& seen) {
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) {
      broken(1, id, "it ran, and there is no row");
      return;
    }
    const JobRecord& row = *it->second;
    if (seen.completions.size() > 1) {
      broken(3, id, seen.completions.size(), " completions were accepted");
    }
    for (const Event& done : seen.completions) {
      if (row.state != State::kCompleted || done.fence != value(row.fence)) {
        broken(4, id, "a completion under fence ", done.fence,
               " was accepted; the row is ", to_string(row.state), " under ",
               value(row.fence));
      }
    }
    const auto highest = seen.runs.rbegin()->first;
    if (highest > value(row.fence)) {
      broken(4, id, "fence ", highest, " was seen; the row is at ", value(row.fence));
    }
    check_runs(id, row, seen);
  }

  void check_runs(std::uint64_t id, const JobRecord& row, const JobSeen& seen) {
    std::size_t began = 0;
    // Whatever ran before, with the end of its lease where it ended after this began.
    for (auto later = seen.runs.begin(); later != seen.runs.end(); ++later) {
      const RunSeen& run = later->second;
      if (!run.start) continue;
      ++began;
      if (run.start->attempt > row.max_attempts) {
        broken(6, id, "attempt ", run.start->attempt, " of ", row.max_attempts, " began");
      }
      if (run.start->hash != hash_of(row.payload)) {
        broken(8, id, "a handler was given another payload");
      }
      for (auto earlier = seen.runs.begin(); earlier != later; ++earlier) {
        const RunSeen& before = earlier->second;
        if (!before.end || before.end->time <= run.start->time) continue;
        ++report_.overlaps;
        if (before.lease_until > run.start->time) {
          broken(5, id, "fence ", later->first, " began ",
                 before.lease_until - run.start->time, " us before the lease of fence ",
                 earlier->first, " ended");
        }
      }
    }
    if (began > 1) ++report_.repeated;
  }

  std::vector<JobRecord> rows_;
  std::set<std::uint64_t> suspects_;
  const std::uint64_t after_;
  std::unordered_map<std::uint64_t, const JobRecord*> by_id_;
  RequestsSeen requests_;
  std::map<std::uint64_t, std::string> unnamed_;  // keys, by the hash of the payload
  JobsSeen jobs_;
  CheckReport report_;
};

}  // namespace

Result<CheckReport> check(Store& store, std::span<const Event> events, JobId after) {
  std::vector<JobRecord> rows;
  for (JobId before{};;) {
    auto page = store.monitor().list({}, before, 1'000);
    if (!page) return tl::unexpected<Error>(std::move(page.error()));
    std::erase_if(*page, [&](const JobRecord& row) { return row.id <= after; });
    if (page->empty()) break;
    before = page->back().id;
    std::move(page->begin(), page->end(), std::back_inserter(rows));
  }
  return Checker(std::move(rows), after).run(events);
}

std::string to_string(const CheckReport& r) {
  std::ostringstream text;
  text << r.acknowledged << " acknowledged, and " << r.acknowledged_unnamed
       << " without a request id, of " << r.unnamed << "; " << r.rows
       << " rows: " << r.completed << " completed, " << r.discarded << " discarded, "
       << r.cancelled << " cancelled, " << r.waiting << " waiting; " << r.limited
       << " with limits, " << r.rated << " with rates, " << r.unique
       << " with unique keys, which " << r.met << " enqueues met\n"
       << r.runs << " runs, " << r.repeated << " jobs repeated, " << r.overlaps
       << " overlaps; refused as stale: " << r.stale_finishes << " finishes, "
       << r.stale_beats << " beats; asked again: " << r.already << "\n"
       << r.broken.size() << " rules broken\n";
  for (std::size_t i = 0; i < r.broken.size() && i < 20; ++i) text << r.broken[i] << '\n';
  for (const std::string& line : r.stories) text << line << '\n';
  return text.str();
}

}  // namespace carrel::conformance

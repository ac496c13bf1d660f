// The jobs of a database server's store that share rates, by key, and when attempts of
// them began.
//
//   carrel_rates       a row a job that has a rate: which, and how it stands to it
//   carrel_starts      a row an attempt that began. It outlives its job, until the
//                      longest period that the key's jobs have named is over
//   carrel_rate_keys   that period, and when the sweep must look at the key
//
// As with limits a key's jobs stand in lanes, and in each only as many are available as
// could begin, were they alone. Time lets the next ones go: a key has one time to wake,
// however many of its jobs wait. An available job that has a rate is hidden from claims
// that know of none as one with a limit is.
//
// Whoever writes any of this holds the key's slot (limits.h): what is read under it does
// not change. Rows of jobs are Limits' to write.
//
// Threads: one at a time, the one that has the writer's transaction (GroupCommit), within
// that. Throws soci::soci_error.
#pragma once

#include <carrel/job.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "server/json_rows.h"
#include "server/statement.h"
#include "server/statements.h"
#include "server/waiting_lines.h"
#include "stored_row.h"

namespace carrel::sql::server {

// How a job stands to its rate; no value: neither.
enum class Standing : std::uint8_t {
  kWaits = 0,      // for its window
  kAvailable = 2,  // as its state
};

class Rates {
 public:
  Rates(Session& session, const Statements& statements);

  void begin(Time now);                  // of a transaction
  void now_is(Time now) { now_ = now; }  // by now; nothing was done yet

  // What is noted is written by write(), together.
  void add(JobId id, const Rate& rate, const std::string& lane, bool waits, Time run_at);
  void note(JobId id, std::optional<Standing> standing, std::optional<Time> run_at = {});
  void start(const Lease& lease, const Rate& rate);
  void write();
  void drop(JobId id);  // at once
  // It has not begun. `started`: as its row says, which its claim wrote with the start.
  void take_back(const Lease& lease, const std::string& key, Time started);

  // Of those of `ids` that are available and have a rate.
  struct Now {
    JobId id{};
    Rate rate;
    long long begun = 0;  // in the window that ends now
  };
  std::vector<Now> now(std::span<const JobId> ids);

  // Of these keys, the lanes in which jobs wait for their window.
  std::vector<Line> waiting_lines(const std::set<std::string>& keys) {
    return lines_.of(keys);
  }
  struct Waiting {
    JobId id{};
    Rate rate;
    std::string limit_key;  // empty: it has no limit
    long long limit = 0;
  };
  std::vector<Waiting> waiting(const Line& line, std::size_t most);  // best first

  // How many began within the rate's period, or are available in a lane of its key.
  // Asked once a transaction; what is made available since is counted by more().
  long long ahead(const Rate& rate, const std::string& lane);
  void more(const Rate& rate, const std::string& lane) {
    ++available_.at({rate.key, lane});
  }

  // The keys are looked at when one of those that wait may begin, or earlier.
  void wake_in_time(const std::set<std::string>& keys);
  // The keys for which it is time, as it looks without a lock.
  std::vector<std::string> due(std::size_t most);
  // One of those has been looked at: forgets what counts no more, and when to look again.
  void looked_at(const std::string& key);

 private:
  void keep_for(const Rate& rate);
  Time opens(const Line& line);
  void forget_counts() {
    begun_.clear();
    available_.clear();
  }

  Time now_{};
  WaitingLines lines_;
  JsonRows added_;
  JsonRows noted_;
  JsonRows started_;
  std::map<std::string, long long> periods_;  // of keys with new jobs or starts
  std::map<std::pair<std::string, Duration>, long long> begun_;
  std::map<Line, long long> available_;

  std::string ids_;
  std::string rows_;
  std::string key_;
  std::string lane_;
  std::string limit_key_;
  long long id_ = 0;
  long long fence_ = 0;
  long long starts_ = 0;
  long long period_ = 0;
  long long number_ = 0;
  long long limit_ = 0;
  long long at_ = 0;
  long long most_ = 0;
  Statement add_;
  Statement set_;
  Statement start_;
  Statement take_back_;
  Statement drop_;
  Statement now_of_;
  Statement waiting_;
  Statement count_starts_;
  Statement count_line_;
  Statement newest_;
  Statement wake_;
  Statement due_;
  Statement period_of_;
  Statement forget_;
  Statement in_use_;
  Statement set_wake_;
  Statement drop_key_;
};

}  // namespace carrel::sql::server

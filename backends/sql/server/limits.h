// The jobs of a database server's store that share limits, by key: carrel_limits.
//
// A key's jobs stand in lanes of one queue, kind and priority each. In a lane only as
// many are available as could run, were they alone; those behind them are pending, out of
// the claim's way however many they are. What runs is counted over the rows of
// carrel_jobs. Jobs without a limit have no row here. While nobody has one, claims ask
// for that once a poll and finishes of what was claimed so not at all: until it is known
// they see no job that has a limit.
//
// Locks. Whoever changes what runs or waits of a key holds the key's slot, one of a fixed
// number of rows. Slots come before rows of jobs: a transaction waits for slots, in their
// order, only while it holds no lock at all. Later it takes those that are free; where
// one is not, the operation begins the next transaction (NextTransaction). So nobody who
// holds anything waits for a slot, and there is no dead-lock over slots.
//
// For the writer's thread, within its transaction. Throws soci::soci_error.
#pragma once

#include <carrel/job.h>

#include <atomic>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "server/json_rows.h"
#include "server/limited_lanes.h"
#include "stored_row.h"

namespace carrel::sql::server {

// What outlives a session of what is known about limits.
struct LimitsUse {
  std::atomic<bool>& used;  // somebody has one, or had
  Duration poll;
  Time next_look;
  std::unordered_set<JobId> plain;  // jobs that have none, and were claimed here
};

class Limits {
 public:
  Limits(Session& session, const Statements& statements);

  void begin(Time now, LimitsUse& use);  // of a transaction; borrows `use` for it
  void enter_operation();                // may wait
  void leave_operation();
  void locked_something();  // within an operation, before it has asked for slots
  // There are jobs with limits. A claim that hears too late of the first there ever was
  // only does not see it.
  bool any();
  void claimed_plain(std::span<const Claimed> jobs);
  // As know(), of jobs that ended; nothing is asked of those known to have no limit.
  void know_ended(std::span<const JobId> ids);

  // Finds which of these jobs have limits, and locks their keys. Before the operation has
  // locked or written anything.
  void know(std::span<const JobId> ids);
  bool knows(JobId id) const { return keys_.contains(id); }
  // Likewise, where something is written already. False: another holds one of the keys.
  bool try_know(std::span<const JobId> ids);
  // A known job, not running, goes to another limit, whose key is locked, or to none.
  // moved() is to follow.
  void change(const StoredRow& row, const std::optional<Limit>& limit);

  // As know(), for keys; and for queues (server/queue_limits.h).
  void lock_keys(const std::set<std::string>& keys);
  void lock_queues(const std::vector<std::string>& queues);
  // Available jobs that are about to be inserted, their keys locked: those that cannot
  // run are held.
  struct Placing {
    const NewJob* job;
    rules::Row* row;
  };
  void place(std::span<const Placing> jobs);
  // Then, with the ids that they were given.
  void add(JobId id, const NewJob& job, State state, Time run_at);
  void write_added();

  // Which of these available jobs may be claimed. The others become pending, or are busy:
  // somebody else holds their key at this moment.
  struct Admission {
    std::vector<JobId> admitted;
    std::vector<JobId> busy;
  };
  Admission admit(std::span<const JobId> ids);
  void started(JobId id) {
    use_->plain.erase(id);  // it may have come by its limit since
    note(id, State::kRunning, std::nullopt);
  }
  // The operation has no use of this transaction: it found nothing but what was busy.
  // False: it has tried often enough.
  bool wait_for_busy();

  // A rule has moved a row that has a limit. It is not available: such a row is held
  // first, and settle() lets it go if it may.
  void moved(const StoredRow& row);
  void write_notes();
  void completed(JobId id) { note(id, std::nullopt, std::nullopt); }

  // At the end of an operation, when its rows are written: those that may run now. They
  // are available from here on.
  std::vector<Ticket> settle();

 private:
  struct Line {
    std::string key;
    std::string lane;
    auto operator<=>(const Line&) const = default;
  };
  struct Count {
    long long running = 0;
    long long available = 0;
  };
  static int slot_of(std::string_view key);
  void lock(std::set<int> slots);
  std::set<int> try_lock(const std::set<int>& slots);
  std::unordered_map<JobId, std::string> keys_of(std::span<const JobId> ids);
  void note(JobId id, std::optional<State> state, std::optional<Time> run_at);
  std::vector<Count> count(std::span<const Line> lines);
  std::vector<Line> waiting_lines();
  void free(const Line& line, Count count, std::vector<Ticket>& freed);

  LimitsUse* use_ = nullptr;
  Time at_{};
  bool untouched_ = false;  // the transaction holds no lock
  int waits_ = 0;           // of the operation that comes first
  std::set<int> held_;
  std::set<int> wanted_;  // by the operation that begins the next transaction
  std::set<int> busy_;
  std::unordered_map<JobId, std::string> keys_;  // of the transaction's jobs so far
  std::set<std::string> touched_;                // keys in which there may be room now
  JsonRows notes_;

  std::string ids_;
  std::string rows_;
  long long id_ = 0;
  int slot_ = 0;
  int n_ = 0;
  std::string key_;
  std::string lane_;
  long long limit_ = 0;
  long long running_ = 0;
  long long available_ = 0;
  long long most_ = 0;
  Statement any_;
  Statement find_keys_;
  Statement lock_;
  Statement try_;
  Statement now_;
  Statement count_;
  Statement next_;
  Statement pending_;
  Statement add_;
  Statement set_;
  Statement drop_;
  Statement free_;
  Statement hold_;
};

}  // namespace carrel::sql::server

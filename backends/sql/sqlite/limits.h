// The jobs of a SQLite store that share limits, by key: carrel_limits; and rates
// (rates.h).
//
// A key's jobs stand in lanes of one queue, kind and priority each. In a lane only as
// many are available as could run, were they alone; those behind them are pending, out of
// the claim's way however many they are. What runs is counted over the rows, in the
// transaction that claims. Jobs without a limit have no row here and cost nothing; while
// nobody has one, each transaction asks that once. While none is available that has to
// ask, be they many that ended or wait, a claim is what it is without them.
//
// While only one lane of a key has jobs that do not run, and all that is available of it
// may run beside what runs, their places are reserved: each counts as one that runs from
// then on, and its claim is that of a job without a limit, which writes nothing here.
// Where a job of another lane comes, or one with another limit, the places are given up,
// and all have to ask: so none waits for a job that nobody claims.
//
// A job with a limit and a rate waits for one of them at a time, and has no place in the
// other's line meanwhile: so it holds up none who waits for that alone. The rate comes
// first. When it is its turn there and the limit is full, it goes over to those who wait
// for the limit; and back, should others have filled the window when the limit has room.
//
// For the writer's thread, within its transaction. Throws soci::soci_error.
#pragma once

#include <carrel/job.h>

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "rates.h"
#include "rows.h"
#include "statement.h"

namespace carrel::sql::sqlite {

class Limits {
 public:
  Limits(soci::session& session, RowLoader& loader, RowSaver& saver);

  void begin();     // of a transaction
  void rollback();  // of what its operations had to say
  bool any() const noexcept { return any_; }
  bool any_available();  // now, that have to ask for a limit or a rate

  // What is next for a job that is due.
  enum class Turn : std::uint8_t {
    kAsks,      // it is available, and its claim asks whether it may run
    kReserved,  // it is available, and may
    kWaitsForLimit,
    kWaitsForWindow,
  };
  // Before a job with a limit or a rate is inserted: pending, where it cannot run.
  Turn place(const NewJob& job, rules::Row& row, Time at);
  // After: its rows here.
  void add(JobId id, const NewJob& job, const rules::Row& row, Turn turn,
           long long run_at, Time at);

  // Which of these available jobs may be claimed, in their order. The others become
  // pending. `stops`: nothing after ids[i] is looked at where that is refused.
  using Stops = std::function<bool(std::size_t i)>;
  std::vector<JobId> admit(std::span<const JobId> ids, Time at, const Stops& stops = {});
  // Likewise, where it is read already which limits they have.
  struct Limited {
    std::string key;
    long long limit = 0;
    bool some_run = false;  // of its key, at this moment
  };
  using Asked = std::unordered_map<JobId, Limited>;
  std::vector<JobId> admit(std::span<const JobId> ids, const Asked& limited, Time at,
                           const Stops& stops = {});
  void started(std::span<const Claimed> jobs, Time at);

  // A job that waits is to be held to another limit and rate, or none. Call moving()
  // next.
  void change(const StoredRow& row, const NewJob& job, Time at);

  // A run that was given back before it had begun: no rate counts it. moving() is to
  // follow.
  void not_begun(const StoredRow& row);
  // Before a row is saved in another state: pending, where it cannot run.
  void moving(StoredRow& row, Time at);
  void finished(JobId id);  // likewise of one that is not loaded

  // Of keys with rates, at most `most`, those for which it is time.
  void windows_opened(Time at, std::size_t most);
  Time next_window() { return rates_.next(); }

  // At the end of an operation: those that it lets run. They are available from here on.
  std::vector<StoredRow> settle(Time at);

 private:
  struct Lane {
    std::string queue;
    std::string kind;
    int priority = 0;
    bool operator==(const Lane&) const = default;
  };
  struct Known {
    std::string key;
    long long limit = 0;
    bool operator==(const Known&) const = default;
  };
  // What a job meets of its key.
  struct Line {
    long long running = 0;      // or with their places reserved
    bool lanes_apart = false;   // places are reserved in another lane
    bool limits_apart = false;  // or for another limit
    bool some_ask = false;
  };
  // What the last turn() saw of a line in which nobody asks: another look, which counts
  // up to the limit, would see no more. Until a row of any line changes.
  struct Seen {
    Known limit;
    Lane lane;
    long long running = 0;
  };
  std::optional<Known> find(JobId id);
  Line look(const Known& limit, const Lane& lane);
  void unreserve(const std::string& key);
  Turn turn(const Known& limit, const Lane& lane, bool rated);
  Turn turn(const std::optional<Known>& limit, const std::optional<Rate>& rate,
            const Lane& lane, Time at);
  void wait_for_window(JobId id, Time run_at);
  void wait_for_limit(JobId id, Time run_at);
  bool let_go(JobId id, Turn turn, std::vector<StoredRow>& freed);
  long long available(const std::string& key, const Lane& lane);
  std::unordered_map<std::string, long long> running_of(const Asked& limited);
  void set_state(JobId id, std::optional<State> state, Time run_at,
                 bool reserved = false);
  void reserve(JobId id, Time run_at);
  void hold(std::span<const JobId> ids, Turn turn);
  std::vector<Lane> lanes_with_pending(const std::string& key);
  void free_lane(const std::string& key, const Lane& lane, std::vector<StoredRow>& freed,
                 Time at);
  void free_rated(const std::string& key, std::vector<StoredRow>& freed, Time at);

  RowLoader& loader_;
  RowSaver& saver_;
  bool any_ = false;
  bool any_rate_ = false;
  std::optional<Seen> seen_;
  Rates rates_;
  std::set<std::string> touched_;  // keys in which an operation may have made room
  std::set<std::string> moved_;    // of these, whose jobs have moved
  std::set<std::string> touched_rates_;
  std::set<std::string> waking_rates_;  // of which jobs may wait that none looks after
  std::set<std::string> due_rates_;

  long long id_ = 0;
  std::string ids_;
  std::string key_;
  long long limit_ = 0;
  Nullable state_;
  int reserved_ = 0;
  std::string queue_;
  std::string kind_;
  int priority_ = 0;
  long long run_at_ = 0;
  long long number_ = 0;
  int some_run_ = 0;
  long long rated_ = 0;
  long long ahead_ = 0;
  long long most_ = 0;
  long long lanes_apart_ = 0;
  long long limits_apart_ = 0;
  int some_ask_ = 0;
  Statement any_statement_;
  Statement any_available_;
  Statement add_;
  Statement find_;
  Statement find_available_;
  Statement running_of_keys_;
  Statement start_;
  Statement rename_;
  Statement delete_;
  Statement set_;
  Statement look_;
  Statement unreserve_;
  Statement available_;
  Statement next_priority_;
  Statement next_kind_;
  Statement next_queue_;
  Statement pending_;
};

}  // namespace carrel::sql::sqlite

// The jobs of a database server's store that share limits, by key: carrel_limits; and
// rates (rates.h).
//
// A key's jobs stand in lanes of one queue, kind and priority each. In a lane only as
// many are available as could run, were they alone; those behind them are pending, out of
// the claim's way however many they are. What runs is counted over the rows of
// carrel_jobs. Jobs without a limit have no row here. While none of the others is
// available that has to ask, be they many that ended or wait, a claim looks for none, and
// finishes of what was claimed so ask for nothing where it had no limit. Whether there is
// one is asked once a poll, and by each claim that finds nothing else; until it is known
// they are not seen.
//
// Where all that is available of a key may run beside what runs, in whatever lanes it is,
// its places are reserved: what runs and what has its place is never more than the limit
// of any of the latter. Such jobs are claimed as those without a limit are, by whoever
// comes, without its slot. The others have to ask; they take no place that is reserved,
// but may have a key's reservations given up, all of them at once, to ask beside them.
// What is being claimed meanwhile keeps its place.
//
// A job with a limit and a rate waits for one of them at a time, and has no place in the
// other's line meanwhile: so it holds up none who waits for that alone. The rate comes
// first. When it is its turn there and the limit is full, it goes over to those who wait
// for the limit; and back, should others have filled the window when the limit has room.
// That a row is available promises nothing: where another holds the key that would have
// to be asked, it is made available, and the claim asks.
//
// Locks. Whoever changes what runs, began or waits of a key holds the key's slot, one of
// a fixed number of rows. Slots come before rows of jobs: a transaction waits for slots,
// in their order, only while it holds no lock at all. Later it takes those that are free;
// where one is not, the operation begins the next transaction (NextTransaction). So
// nobody who holds anything waits for a slot, and there is no dead-lock over slots.
//
// Threads: one at a time, the one that has the writer's transaction (GroupCommit), within
// that. Throws soci::soci_error.
#pragma once

#include <carrel/job.h>

#include <cstddef>
#include <cstdint>
#include <functional>
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
#include "server/rates.h"
#include "server/used_limits.h"
#include "server/waiting_lines.h"
#include "stored_row.h"

namespace carrel::sql::server {

class Limits {
 public:
  Limits(Session& session, const Statements& statements);

  // What time it is at the server by now, where the transaction has waited.
  using Clock = std::function<Time()>;
  // Of a transaction; borrows `use` and `clock` for it. `untouched`: it holds no lock.
  void begin(Time now, LimitsUse& use, const Clock& clock, bool untouched);
  void enter_operation();  // may wait
  void leave_operation();
  void locked_something();  // within an operation, before it has asked for slots
  // Jobs with limits or rates may be available, so far as is known; asks once a poll. A
  // claim that hears too late of one only does not see it.
  bool any();
  bool said_any() const { return said_any_; }  // the last answer in the transaction
  bool look();                                 // asks now
  // As any(), but where that would say so it asks whether some are at this moment.
  bool any_available();
  void saw_some();  // of those that are available
  // A claim that makes sure of it by itself should: there may be some.
  bool may_be_available() const {
    return expects_some() || looked_at_ >= use_->next_look;
  }
  // It has: there was none, at some time after used() was `made`.
  std::uint64_t made() const { return use_->used.made; }
  void saw_none(std::uint64_t made);
  // The transaction has made some available: to be told when it is committed.
  void committed();
  // The next operation is to begin with slots that it waits for.
  bool wants_slots() const { return !wanted_.empty(); }
  // Claimed without asking for limits; of these, `reserved` have one all the same.
  void claimed_plain(std::span<const Claimed> jobs,
                     const std::unordered_set<JobId>& reserved) {
    use_->used.plain.add(jobs, reserved);
  }
  // As know(), of jobs that ended; nothing is asked of those known to have no limit.
  void know_ended(std::span<const JobId> ids);

  // Finds which of these jobs have limits, and locks their keys. Before the operation has
  // locked or written anything.
  void know(std::span<const JobId> ids);
  // Likewise for a claim, which does without those of slots that are shunned.
  void know_to_claim(std::span<const JobId> ids);
  // Likewise, once more, of rows that are locked by now, where nothing is written yet:
  // one that waited when know() looked may have come by another key since.
  void know_locked(std::span<const JobId> ids);
  // Likewise, but waits for nobody: those of which nobody else holds a key. What all
  // others hang on asks so: a host's transaction holds a key for as long as it likes.
  std::vector<JobId> know_free(std::span<const JobId> ids);
  // Likewise, once more, of rows that are locked by now: one of them may have come by
  // another key since. Of those left out nothing may be written.
  std::vector<JobId> know_free_locked(std::span<const JobId> ids);
  bool knows(JobId id) const { return keys_.contains(id) || rates_of_.contains(id); }
  // Likewise, of jobs of others, where something is written already. False: another holds
  // one of the keys.
  bool try_know(std::span<const JobId> ids);
  // A known job, not running, goes to another limit and rate, whose keys are locked, or
  // to none. moved() is to follow.
  void change(const StoredRow& row, const NewJob& job);

  // As know(), for the keys of jobs that are to be inserted.
  void lock_keys(std::span<const NewJob* const> jobs);
  // Likewise, of queues (server/queue_limits.h).
  void lock_queues(const std::vector<std::string>& queues);
  // Available jobs that are about to be inserted, their keys locked: those that cannot
  // run are held.
  struct Placing {
    const NewJob* job;
    rules::Row* row;
    bool reserved = false;  // set where its place is
  };
  void place(std::span<Placing> jobs);
  // Then, with the ids that they were given. One with a rate was held: settle() lets it
  // go if it may.
  void add(JobId id, const NewJob& job, State state, Time run_at, bool reserved);
  void write_added();

  // Which of these available jobs may be claimed. The others become pending, or are busy:
  // at this moment somebody else holds their key, or is claiming what has the place that
  // they would need; only the former can be waited for (wait_for_busy). Or the places of
  // their key were reserved, and are not any more: who minds which is the best of them
  // chooses again.
  struct Admission {
    std::vector<JobId> admitted;
    std::vector<JobId> to_choose_again;
  };
  Admission admit(std::span<const JobId> ids);
  // Likewise, of what was read already; it may have changed since. `choosing`: as above;
  // else nothing is to be chosen again.
  struct Asked {
    JobId id{};
    std::string limit_key;  // empty: it has none; so of the other
    std::string rate_key;
  };
  Admission admit(std::span<const Asked> jobs, bool choosing);
  // As know_free(), of those that have no rate.
  std::vector<Asked> know_free(std::span<const Asked> jobs);
  void started(const Lease& lease);
  // A lock did not come. True: it was a claim's, which waits for it no more.
  bool waited_in_vain();
  // The operation has no use of this transaction: it found nothing but what was busy.
  // False: it has tried often enough.
  bool wait_for_busy();

  // A run that was given back before it had begun: no rate counts it. moved() is to
  // follow.
  void not_begun(const StoredRow& row);
  // A rule has moved a row that has a limit. It is not available: such a row is held
  // first, and settle() lets it go if it may.
  void moved(const StoredRow& row);
  void write_notes();
  void completed(JobId id) { note(id, std::nullopt, std::nullopt); }

  // Locks the keys with rates for which it is time, but for those that others hold;
  // settle() looks at them.
  void windows_opened();

  // At the end of an operation, when its rows are written: those that may run now. They
  // are available from here on.
  std::vector<Ticket> settle();

 private:
  struct Count {
    long long running = 0;
    long long available = 0;
  };
  // Of a key: what runs, and what is available in all of its lanes.
  struct Places {
    long long running = 0;
    long long reserved = 0;
    long long least = 0;   // limit of those
    long long asking = 0;  // that have no place
    void add(const Places& lane);
  };
  // What is about to become available of a key.
  struct Coming {
    long long jobs = 0;
    long long least = 0;  // limit of those
    bool rated = false;   // one of them at least
    void add(long long limit);
  };
  bool can_reserve(const std::string& key, const Coming& coming) const;
  void unreserve(const std::set<std::string>& keys);
  // Which keys a job has, and the slots of those.
  struct Keys {
    std::unordered_map<JobId, std::string> limits;
    std::unordered_map<JobId, std::string> rates;
    std::set<int> slots() const;
    bool contains(JobId id) const { return limits.contains(id) || rates.contains(id); }
    bool touches(JobId id, const std::set<int>& slots) const;
  };
  static std::string lane_of(const NewJob& job);
  static int slot_of(std::string_view key);
  static int rate_slot_of(std::string_view key);
  bool try_slot(int slot);
  // `claims`: for a claim, which can do without.
  void lock(std::set<int> slots, bool claims = false);
  std::set<int> try_lock(const std::set<int>& slots);
  Keys keys_of(std::span<const JobId> ids) { return keys_of(ids, find_keys_); }
  Keys keys_of(std::span<const JobId> ids, Statement& find);
  void merge(Keys keys);
  void forget(std::span<const JobId> ids);  // their keys
  Admission admit(std::span<const JobId> ids, Keys keys, bool choosing);
  void note(JobId id, std::optional<State> state, std::optional<Time> run_at);
  std::map<Line, Count> count(std::span<const Line> lines);
  void free(const Line& line, Count count, std::vector<Ticket>& freed);
  void free_rated(const Line& line, std::vector<Ticket>& freed);
  void let_go(const std::vector<JobId>& ids, const LimitedLane& lane,
              std::vector<Ticket>& freed);
  void make_available(const std::vector<JobId>& ids, int state);
  void note_limit(JobId id, std::optional<State> state, std::optional<Time> run_at);
  bool is_rated(JobId id) const { return rates_of_.contains(id); }

  bool expects_some() const;

  const bool counts_;  // else what it would count is not what is committed now
  LimitsUse* use_ = nullptr;
  const Clock* clock_ = nullptr;
  bool said_any_ = false;
  bool made_ = false;  // some are available by this transaction
  Time at_{};
  std::chrono::steady_clock::time_point looked_at_{};  // as the transaction began
  bool untouched_ = false;                             // the transaction holds no lock
  int waits_ = 0;  // of the operation that comes first
  std::set<int> held_;
  std::set<int> wanted_;      // by the operation that begins the next transaction
  bool claim_wants_ = false;  // which is a claim
  std::set<int> waiting_;     // what a claim waits for at this moment
  std::set<int> busy_;
  std::unordered_map<JobId, std::string> keys_;  // of the transaction's jobs so far
  std::unordered_map<JobId, std::string> rates_of_;
  std::unordered_map<JobId, Rate> admitted_;
  std::unordered_map<std::string, Places> places_;  // as they were last counted
  struct Freed {
    Coming coming;
    std::vector<JobId> ids;
  };
  std::map<std::string, Freed> freed_;  // by key: to be made available
  std::set<std::string> touched_;       // keys in which there may be room now
  std::set<std::string> touched_rates_;
  std::set<std::string> waking_rates_;  // of which jobs may wait that none looks after
  std::set<std::string> due_rates_;
  JsonRows notes_;

  Rates rates_;
  WaitingLines lines_;

  std::string ids_;
  std::string rows_;
  long long id_ = 0;
  int some_ask_ = 0;
  int is_rate_ = 0;
  int state_ = 0;
  long long starts_ = 0;
  long long period_ = 0;
  std::string rate_key_;
  int slot_ = 0;
  int n_ = 0;
  std::string key_;
  std::string lane_;
  long long limit_ = 0;
  long long running_ = 0;
  long long reserved_ = 0;
  long long least_ = 0;
  long long asking_ = 0;
  long long most_ = 0;
  Statement any_;
  Statement find_keys_;
  Statement find_keys_now_;
  Session& session_;
  Statement lock_;
  Statement lock_now_;
  Statement try_;
  Statement now_;
  Statement count_;
  Statement pending_;
  Statement add_;
  Statement set_;
  Statement drop_;
  Statement forget_place_;
  Statement unreserve_;
  Statement unreserve_picked_;
  Statement free_;
  Statement hold_;
};

}  // namespace carrel::sql::server

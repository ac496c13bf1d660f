// A writing half of a store over a database server: a connection, and what is done to
// rows there.
//
// All of it is called by GroupCommit, from one thread at a time, within the transaction
// that is open. The calls throw; GroupCommit then rolls the transaction back, so each may
// be run again. Answers align with inputs. The rows that a call changes are locked by it,
// and written when the call has seen all of them.
//
// A transaction begins at the server only with the first call that needs it: what is one
// statement is sent as that alone (at_once.cc).
#pragma once

#include <carrel/demand.h>
#include <carrel/store.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "group_commit.h"
#include "server/connection.h"
#include "server/limits.h"
#include "server/rows.h"
#include "waiters.h"

namespace carrel::sql::server {

// A payload up to this many bytes is kept in its row, which is written again by every
// claim and finish; a longer one is kept beside it and written once.
inline constexpr std::size_t kInlinePayload = 1024;

class Writer final : public Transactor {
 public:
  // limits_used: the store's writers share it.
  Writer(Driver& driver, const BackendOptions& options, Waiters& waiters, News& news,
         UsedLimits& limits_used);
  ~Writer() override;

  // Only jobs that passed check() and are text where they must be.
  std::vector<Inserted> insert(std::span<const NewJob* const> jobs);
  // The same as an operation of its own, instead of within perform(). `answers` is
  // written until the transaction is committed: most jobs wait for that, and go together.
  void insert_with_others(std::span<const NewJob* const> jobs,
                          std::vector<Inserted>& answers);
  std::vector<ClaimAnswer> claim(std::span<const Ticket> tickets, std::string_view worker,
                                 std::uint64_t claim_number, Duration lease);
  struct Taken {
    std::vector<Claimed> jobs;   // best first
    std::vector<Lane> leftover;  // lanes that hold more
  };
  Taken take(const Demand& demand, std::string_view worker, std::uint64_t claim_number,
             Duration lease);
  // The same, and the whole transaction, in one statement, or two round trips, instead of
  // within perform(). Nothing: it takes more than that, and nothing was done.
  std::optional<Taken> take_at_once(const Demand& demand, std::string_view worker,
                                    std::uint64_t claim_number, Duration lease);
  std::vector<Pulse> beat(std::string_view worker, std::uint64_t settled_claim,
                          std::span<const Beat> beats, bool renew, Duration lease);
  std::vector<Finished> finish(std::span<const Finish* const> runs);
  // The transaction waits for locks for a moment only, from here on.
  void lose_patience();
  // Of the exception that is being handled: another transaction holds what was asked for,
  // and does not end.
  bool waited_in_vain() const noexcept { return connection_.waited_in_vain(); }
  std::vector<Cancelled> cancel(std::span<const JobId> ids);
  std::vector<Result<Ticket>> retry(std::span<const JobId> ids);
  std::vector<Ticket> set_paused(std::string_view queue, bool paused);
  // Jobs that are due: all but what is to be purged. Waits for nobody. `next`: not
  // before.
  Swept sweep(std::size_t max);
  // Purges up to `max` jobs. Waits for nobody, but is for a transaction after that of
  // what is due, which hangs on none of it.
  struct Cleared {
    std::size_t purged = 0;
    Duration next = Duration::max();  // as in Swept
  };
  Cleared clear(std::size_t max);

  // Runs one operation of an open transaction: work(*this).
  template <class Work>
  auto perform(Work work) {
    enter_operation();
    auto answer = work(*this);
    leave_operation();
    return answer;
  }

  // How many rows this store has added to the tally since it was last folded.
  std::size_t tallied() const noexcept { return tallied_; }

 private:
  struct Tables;
  using Claiming = Waiters::Claiming;

  bool begins_at_once() noexcept override { return !may_have_died(); }
  Result<void> begin() noexcept override;
  void last() noexcept override {
    last_ = true;
    alone_ = !begun_ && gathered_.empty();
  }
  void commit() override;
  void committed() noexcept override;
  void rollback() noexcept override;
  void end() noexcept override {}
  Error current_error() noexcept override;
  Redo redo() noexcept override { return redo_; }
  void tick() noexcept override {}
  bool wants_ticks() noexcept override { return false; }

  // Begins at the server, if that was not done; on a new connection, if need be.
  Result<void> open() noexcept;
  bool may_do_without() noexcept;
  void open_or_throw();
  void start(Time now);
  bool may_have_died();
  void write_gathered();
  Inserted insert_alone(const NewJob& job);
  Inserted inserted_alone(const NewJob& job, bool available);
  bool lend(const NewJob& job);
  Inserted start_alone(const NewJob& job, const rules::Row& row);
  bool are_one_statement() const;

  void enter_operation();
  void leave_operation();

  // Inserting. `ids`: of the jobs whose request_id is new. `done`: leave these alone.
  void find_requests(std::span<const NewJob* const> jobs, std::span<Inserted> answers,
                     std::vector<std::optional<JobId>>& ids);
  void lock_limits(std::span<const NewJob* const> jobs);
  std::vector<bool> hold_limited(std::span<const NewJob* const> jobs,
                                 std::span<rules::Row> states,
                                 const std::vector<bool>& done);
  static void hand_out(const std::vector<Ticket>& freed, std::span<Inserted> answers);
  void insert_rows(std::span<const NewJob* const> jobs, std::span<Inserted> answers,
                   std::vector<std::optional<JobId>>& ids, const std::vector<bool>& done);
  // A row of carrel_jobs that is to be. Those of a span mostly have all in common but
  // the payload: they go in a statement that says it once.
  struct NewRow {
    struct Common {
      int state;
      std::string_view queue;
      std::string_view kind;
      std::int16_t priority;
      std::uint16_t max_attempts;
      std::optional<long long> wake_at;
      std::optional<long long> expires_at;
      long long run_at;
      long long timeout;

      bool operator==(const Common&) const = default;
    };
    const NewJob& job;
    std::optional<JobId> id;  // of one with a request_id
    Inserted& answer;         // gets its id
    Common common;
  };
  void write_rows(std::span<const NewRow> rows);
  void insert_payloads(std::span<const NewJob* const> jobs,
                       std::span<const Inserted> answers, const std::vector<bool>& done);

  // Inserting jobs with unique keys. `places`: of jobs that have one, in their order.
  struct Holder;
  using Holders = std::map<std::string, Holder>;
  using Places = std::vector<std::size_t>;
  void insert_unique(std::span<const NewJob* const> jobs, std::span<Inserted> answers,
                     std::vector<std::optional<JobId>>& ids, std::vector<bool>& done);
  // The jobs that these would replace, as it looks before anything is locked.
  std::vector<JobId> replaceable(std::span<const NewJob* const> jobs);
  void lock_keys(std::span<const NewJob* const> jobs, const Places& places);
  // `locked`: that they are; without that it may be otherwise in a moment.
  Holders find_holders(std::span<const NewJob* const> jobs, const Places& places,
                       bool locked);
  Holders find_holders_now();
  void check(const Holders& holders);
  void replace(std::span<const NewJob* const> jobs, std::span<Inserted> answers,
               const Places& places);
  void hold_keys(std::span<const NewJob* const> jobs, std::span<const Inserted> answers,
                 const Places& places);
  // The names of enqueues that met a job are free again.
  void forget_requests(std::span<Inserted> answers,
                       std::vector<std::optional<JobId>>& ids, const Places& places);
  // Before final jobs are purged.
  void leave_keys(std::span<const std::pair<JobId, State>> jobs);

  // Claiming.
  // `whole`: nothing that follows within the operation reads or changes these rows.
  // run(add): add() for each row there is.
  template <class Run>
  std::vector<Claimed> best_first(bool whole, Run run);
  std::vector<Claimed> claim_lone(const Claiming& claiming, const Demand& demand,
                                  std::size_t max, std::size_t& lanes,
                                  bool unless_limited);
  std::vector<Claimed> pick_lone(const Claiming& claiming, const Demand& demand,
                                 std::size_t most, std::size_t& lanes);
  std::vector<Claimed> pick_named(const Claiming& claiming, const Demand& demand,
                                  std::size_t most);
  void read_picked(std::span<const char* const> cells);
  std::vector<Claimed> claim_lanes(const Claiming& claiming,
                                   std::span<const std::pair<Lane, std::size_t>> shares,
                                   bool whole, bool unless_limited = false);
  std::vector<Claimed> claim_ids(const Claiming& claiming, std::vector<JobId> ids,
                                 int state, bool whole = false);
  std::vector<std::string> paused();
  std::vector<Claimed> claim_limited(const Claiming& claiming,
                                     const std::vector<JobId>& ids, bool whole = false);
  // Those of `jobs` that their limits let run, where one statement tells; the others are
  // left in it.
  std::vector<Claimed> claim_within(const Claiming& claiming,
                                    std::vector<Limits::Asked>& jobs);
  std::vector<Claimed> claim_chosen(const Claiming& claiming,
                                    std::vector<Limits::Asked> jobs, bool alone,
                                    std::vector<JobId>* again);
  Taken take_plain(const Claiming& claiming, const Demand& demand, std::size_t max,
                   QueueRooms rooms);
  Taken take_with_limits(const Claiming& claiming, const Demand& demand, std::size_t max,
                         QueueRooms rooms);
  void name_demand(const Demand& demand);
  struct Candidate;
  std::vector<Candidate> candidates(const Demand& demand, std::size_t most,
                                    std::vector<Lane>& lanes);
  struct Choice;
  Choice choose(const Demand& demand, std::size_t max, QueueRooms rooms,
                const std::set<JobId>& passed_over);
  void begin_claim(const Claiming& claiming);
  Claimed claimed_row();
  void mark(const std::vector<Claimed>& picked, bool with_commit);
  static void put_in_order(std::vector<Claimed>& jobs, const Demand& demand);
  void complete_claim(std::vector<Claimed>& claimed);
  // `take`: called with each id that has some, and its bytes.
  template <class Take>
  void read_long(Statement& read, std::vector<JobId> ids, Take take);

  // Ending.
  void complete(std::span<const Finish* const> runs, std::span<Finished> answers,
                std::vector<std::size_t>& others);
  void finish_others(std::span<const Finish* const> runs, std::span<Finished> answers,
                     std::vector<std::size_t> others);
  const std::optional<std::string>& checkpoint_of(
      JobId job, const std::optional<std::string>& checkpoint) const;
  // (id, fence) of what runs of its claims up to that number.
  std::set<std::pair<long long, long long>> running_of(std::string_view worker,
                                                       long long claim_number);
  void free_unnamed(std::string_view worker, std::uint64_t settled_claim,
                    std::span<const Beat> beats);
  // Page after page of what `find` finds, `first` in the first of them.
  void look_for_due(Statement& find, std::size_t first,
                    const std::function<bool(const std::vector<JobId>&)>& enough);
  std::vector<StoredRow> due_and_free(std::size_t most);  // locked, and their keys
  void advance(StoredRow& row, Swept& swept);
  using FinalRows = std::unordered_map<JobId, StoredRow>;  // locked
  FinalRows due_and_free_ended(std::size_t most);
  std::vector<JobId> take_held(FinalRows& rows);
  std::size_t purge(const FinalRows& rows);
  std::size_t trim(std::size_t most);
  void fold_tally();

  // Notes that a rule moved `row` out of `before`, with all that goes with it.
  void moved(StoredRow& row, State before, const std::string* result = nullptr);
  void add_work(const std::string& queue, const std::string& kind);
  // Writes what the call so far has moved. Answers with what that lets run.
  std::vector<Ticket> flush();
  std::vector<Ticket> settle();
  std::vector<Ticket> best_of_queue(std::string_view queue, std::size_t most);

  Driver& driver_;
  const BackendOptions options_;
  Waiters& waiters_;
  News& news_;
  LimitsUse limits_use_;
  const Limits::Clock clock_;  // reads it anew
  Connection<Tables> connection_;
  Tables* tables_ = nullptr;  // of the open transaction
  Time now_{};                // when it began, at the server, or had waited for slots
  Duration asked_{0};         // boot_time() before that, or before what it waited for
  bool begun_ = false;        // at the server
  bool last_ = false;         // the operation that comes now is the last
  bool alone_ = false;        // and may be the whole transaction
  bool committing_ = false;
  std::chrono::steady_clock::time_point answered_{};  // the connection, at last
  // Of the open transaction: jobs that go together.
  struct Gathered {
    std::span<const NewJob* const> jobs;
    std::vector<Inserted>* answers;
  };
  std::vector<Gathered> gathered_;
  Waiters::Loan loan_;            // of the claim that is made beside it
  std::vector<Claimed> started_;  // by that
  bool lends_ = true;        // it does not where it failed with that claim, and is redone
  bool idle_ = true;         // the last start found nothing available
  std::string with_commit_;  // what is sent instead of the COMMIT, with one at its end
  bool found_limited_ = false;  // take_at_once() has, and leaves it to take()
  bool chose_limited_ = false;  // the last that chose among all had some with limits
  bool lone_lane_ = true;       // the last claim of several kinds or queues found no more
  Redo redo_ = Redo::kNothing;
  std::atomic<std::size_t> tallied_{0};

  // Of the open transaction: what its commit makes known, or writes at its end.
  std::vector<Lane> work_;
  std::vector<JobId> ended_;
  std::map<std::pair<std::string, State>, long long> tally_;
  std::vector<std::pair<JobId, State>> doomed_;  // final rows that are not kept at all
  bool leaves_to_clear_ =
      false;  // these are left to clear(): others may hold their names
};

}  // namespace carrel::sql::server

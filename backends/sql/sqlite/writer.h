// The writing half of a SQLite store: its one session that writes, and what is done to
// rows there.
//
// All of it runs on the writer's thread of GroupCommit, within the transaction that is
// open, but for the constructor. The calls throw soci::soci_error; GroupCommit then rolls
// the transaction back, so each may be run again. Answers align with inputs.
#pragma once

#include <carrel/store.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gate.h"
#include "group_commit.h"
#include "lanes.h"
#include "limits.h"
#include "queue_limits.h"
#include "rows.h"
#include "session.h"
#include "uniques.h"
#include "waiters.h"

namespace carrel::sql::sqlite {

// A payload up to this many bytes is kept in its row, which is written again by every
// claim and finish; a longer one is kept beside it and written once.
inline constexpr std::size_t kInlinePayload = 1024;

// The longest payload, result or checkpoint, far below SQLite's own limit of 10⁹ bytes.
inline constexpr std::uint64_t kMaxPayload = 64ULL << 20;

class Writer final : public Transactor {
 public:
  // `gate`: null where the transactions are a host's.
  Writer(Settings settings, BackendOptions options, Waiters& waiters, Gate* gate,
         Place& place);
  ~Writer() override;

  // Only jobs that passed check().
  std::vector<Inserted> insert(std::span<const NewJob* const> jobs);
  std::vector<ClaimAnswer> claim(std::span<const Ticket> tickets, std::string_view worker,
                                 std::uint64_t claim_number, Duration lease);
  struct Taken {
    std::vector<Claimed> jobs;   // best first
    std::vector<Lane> leftover;  // lanes that hold more
  };
  Taken take(const Demand& demand, std::string_view worker, std::uint64_t claim_number,
             Duration lease);
  std::vector<Pulse> beat(std::string_view worker, std::uint64_t settled_claim,
                          std::span<const Beat> beats, bool renew, Duration lease);
  std::vector<Finished> finish(std::span<const Finish* const> runs);
  std::vector<Cancelled> cancel(std::span<const JobId> ids);
  std::vector<Result<Ticket>> retry(std::span<const JobId> ids);
  std::vector<Ticket> set_paused(std::string_view queue, bool paused);
  Swept sweep(std::size_t max);

  // The number of final rows is past what is to be kept.
  bool has_too_many() const noexcept { return too_many_; }

 private:
  Result<void> begin() noexcept override;
  void claim_for_who_waits();
  void commit() override;
  void committed() noexcept override;
  void rollback() noexcept override;
  void end() noexcept override;
  Error current_error() noexcept override;
  Redo redo() noexcept override { return lends_ ? Redo::kAlone : Redo::kTogether; }
  void tick() noexcept override;
  bool wants_ticks() noexcept override { return waiters_.any(); }
  void look_at_commits();

  Time now() const { return options_.clock->now(); }

  // Nothing: `job` has no unique key, or meets no job of it.
  std::optional<Inserted> meet(const NewJob& job, Time at);
  // False: the job that it met does not wait.
  bool replace(StoredRow& row, const NewJob& job, Time at);
  // Answers when it is made.
  Time begin_claim(std::string_view worker, std::uint64_t claim_number, Duration lease);
  Claimed picked_row();
  void mark(std::vector<Claimed>& picked);
  std::vector<Claimed> claim_ids(std::span<const JobId> ids);
  void name_lane(const Lane& lane, std::size_t most);
  std::vector<Claimed> claim_lane(const Lane& lane, std::size_t most);
  Taken claim_limited_lane(const Lane& lane, std::size_t most, Time at);
  // Of the best of these lanes; taken.leftover is what they hold more.
  void take_best(const std::vector<Lane>& lanes, const Demand& demand, QueueRooms& rooms,
                 bool limited, Time at, Taken& taken);
  void complete_claim(std::vector<Claimed>& claimed);
  bool finish_granted(const Finish& run, Time at);
  Finished finish_row(StoredRow& row, const Finish& run, Time at);
  const std::optional<std::string>& checkpoint_of(
      JobId job, const std::optional<std::string>& checkpoint) const;
  void free_unnamed(std::string_view worker, std::uint64_t settled_claim,
                    std::span<const Beat> beats, Time at);
  bool advance(StoredRow& row, Time at, Swept& swept);
  std::size_t purge(std::span<const JobId> ids);
  std::size_t trim(std::size_t most);

  // Writes `row`, which a rule moved out of `before`, with all that goes with it.
  void moved(StoredRow& row, State before, Time at, const std::string* result = nullptr);
  void became_final(JobId id, const std::string& queue, const rules::Row& row, Time at);
  void add_work(const std::string& queue, const std::string& kind);
  void check_schema();
  void tally(const std::string& queue, State state, long long change);
  void remove_doomed();
  // Those that others of their key or queue no longer hold back.
  std::vector<Ticket> freed(Time at);
  std::vector<Ticket> best_of_queue(const std::string& queue, std::size_t most);

  const Settings settings_;
  const BackendOptions options_;
  Waiters& waiters_;
  Gate* const gate_;
  Place& place_;
  bool gate_held_ = false;
  bool unseen_ = true;          // something may have been committed since the last tick
  long long seen_version_ = 0;  // by others
  bool ends_unseen_ = false;    // by those who wait for ends
  std::chrono::steady_clock::time_point looked_again_;
  std::string complaint_;       // of the last tick
  long long seen_cookie_ = -1;  // of a schema that is known not to be too new
  std::atomic<bool> too_many_{false};

  // Of the open transaction: what its commit makes known, or writes at its end.
  std::vector<Lane> work_;
  Waiters::Loan loan_;  // of the claim that it makes, too
  Taken taken_;         // by that
  bool lends_ = true;   // it does not where it failed with that claim, and is redone
  std::vector<JobId> ended_;
  std::map<std::pair<std::string, State>, long long> tally_;
  std::vector<JobId> doomed_;  // final rows that are not kept at all
  std::size_t finals_ = 0;     // rows that became final since the last trim

  // Runs that this store granted, and whose end it has not seen. What is kept of a run
  // never changes while its fence holds, and a finish is checked against the row's fence
  // all the same: it saves reading the row, and may be forgotten at any time.
  struct Grant {  // shared by the runs of one claim and queue
    std::string queue;
    std::string worker;
    Time started;
  };
  struct Granted {
    Fence fence;
    std::shared_ptr<const Grant> grant;
  };
  std::unordered_map<JobId, Granted> granted_;
  std::vector<std::pair<JobId, Granted>> granting_;  // of the open transaction
  // Of the claim under way.
  std::shared_ptr<const Grant> grant_;
  Duration granted_at_{0};  // as in Claimed

  struct Statements;
  std::unique_ptr<Statements> statements_;
  RowLoader loader_;
  RowSaver saver_;
  AttemptSaver attempts_;
  NotesTable notes_;
  Lanes lanes_;
  QueueLimits queues_;
  Limits limits_;
  Uniques uniques_;
};

}  // namespace carrel::sql::sqlite

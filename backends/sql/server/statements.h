// The statements of a store over a database server, by name. Each dialect writes them in
// its own SQL, in one file; the code that runs them is the same.
//
// States are written as their stored numbers (carrel/types.h): 1 scheduled, 2 available,
// 3 running, 4 retryable, 5 completed, 6 cancelled, 7 discarded. Instants are
// microseconds since 1970 UTC on the server's clock. A job that is not final stands in
// carrel_jobs, one that is in carrel_history, never in both. An available job that has to
// ask for a limit or a rate is 18 in carrel_jobs: what claims without asking does not see
// it. One whose place in its limit is reserved is 2 there, and `limited`, which it stays
// while it has a limit; it is inserted as 2 + 32.
// Available, a job with a rate is 2 in carrel_rates, and 18 in carrel_limits if it has a
// limit, too; one with a limit alone is 2 there. Claims leave that as it is; older ones
// made it 3.
//
// Parameters: :ids is a JSON array of numbers, :rows JSON of objects (json_rows.h), but
// that of insert_jobs, insert_alike, claim_within, save_jobs, to_history, to_jobs and
// add_attempts has the shape that `inserted` and `wide` say: their members are in the
// order of the statement's columns. What is not text comes and goes as hexadecimal
// digits. Statements that lock rows do so in the order of their ids, or pass over what is
// locked.
#pragma once

#include "server/json_rows.h"

namespace carrel::sql::server {

// One after the other, with the same parameters; null at the end.
struct Steps {
  const char* first = nullptr;
  const char* second = nullptr;
  const char* third = nullptr;
  const char* fourth = nullptr;
  const char* fifth = nullptr;
  const char* sixth = nullptr;
  const char* seventh = nullptr;
  const char* eighth = nullptr;
};

struct Statements {
  RowShape inserted;  // of those that bring jobs, and claim_within
  RowShape wide;      // of the others where rows are wide
  // What does not lock may read what is older than what is locked, or not committed: in a
  // host's transaction.
  bool old_snapshots = false;

  // Names for the session what insert_job, pick_named and mark_one_and_commit run, before
  // they do. Null: they need nothing.
  const char* prepare;

  // Inserting. claim_requests gives those of :rows (request_id, digits) that are new
  // their ids; find_requests tells of those that are not.
  const char* claim_requests;
  const char* find_requests;
  // Ids, rising in the order of the rows that name none. Where :now is 0, all instants
  // are counted from when it runs; so in claim_lane, claim_lanes and claim_lone, too.
  const char* insert_jobs;
  // Likewise of jobs that name no id and have all in common but their payloads: of :rows
  // (n, payload). Most of the time that many rows take is that of reading them.
  const char* insert_alike;
  // One that names no id, its instants counted from when it runs, payload in digits.
  // Null: as the others.
  const char* insert_job;
  // The same of one that is available, by who claims it in the same statement, as
  // claim_lone would: 3 and not 2 is its state, with which it answers too, unless its
  // queue is paused, or a job is available that may come before it, or there are so many
  // lanes that it does not look. Answers also with 1 where start_job_if_idle may do.
  const char* start_job;
  // The same where no job at all is available and no queue is paused, which costs less to
  // find out; else it does nothing, and answers with no row. Null: start_job does.
  const char* start_job_if_idle;
  const char* insert_payloads;

  // Unique keys: carrel_unique. lock_keys makes those of :rows (key, digits) that are
  // new, with job 0, and locks the others; find_holders tells of their jobs.
  const char* lock_keys;
  const char* find_holders;
  // Where old_snapshots: key, job, when it was enqueued, the state that it has left
  // behind (8: none), 1 if it was in carrel_history as the snapshot was made. Locks.
  const char* find_holders_now = nullptr;
  // Likewise: fails where one of the jobs :ids, as seen, is not what it is now. Its locks
  // are not kept.
  const char* check_holders = nullptr;
  const char* hold_keys;    // :rows of key, job, until
  Steps leave_keys;         // :rows of id, state, now: final jobs that are to be purged
  const char* forget_keys;  // that were left behind, :most whose period is over
  const char* read_keys;    // :ids
  Steps replace_payloads;   // :rows of id, payload: in their rows, with nothing beside

  // Claiming. lanes: the (queue, kind) that have available jobs and are not paused.
  // For who polls, lanes and limited_lanes in one: of the latter the lane, and no kind.
  const char* all_lanes;
  const char* lanes;
  const char* best_of_lane;  // of one: :queue, :kind, :now, :most
  // The same of many at once (:rows of n, queue, kind); null: one by one.
  const char* best_of_lanes;
  // Claims :most of each of :rows (queue, kind, most), or those of :ids whose state is
  // :state, in one statement; null: pick answers with what the rows will be, and mark
  // makes them so.
  const char* claim_lanes;
  const char* claim_lane;  // of one, :queue, :kind, :most; null: as of many
  const char* claim_ids;
  // Of :rows (n, id, limit_key), whose keys nobody else may change meanwhile, those that
  // still have that key and no rate, as many of each key as may run, the first :n first.
  // Null: limits_now, and claim_ids of what it lets run.
  const char* claim_within;
  // Claims :most of the lane that has available jobs and is not paused, if there is but
  // one of :queues (none named: all) and :kinds. Answers with how many there are, up to
  // 2, and the lane and no id where it claimed nothing. Null: there is no such statement.
  const char* claim_lone;
  // The same two, but that they claim nothing while a job is available that has to ask
  // for a limit or a rate. Null: any_limits is asked before them.
  const char* claim_lane_unless_limited;
  const char* claim_lone_unless_limited;
  // The same in statements that are sent together, with a BEGIN before them and without
  // the marking: find_lone, which answers with how many lanes there are and what time it
  // is, then pick_lone, which answers as pick_lane. Of literals: of all lanes those of
  // :kinds and (if :queues_named is 1) :queues. Null: none.
  const char* find_lone;
  const char* pick_lone;  // :most; locks
  // Of the lane :queue, :kind, unless it is paused: as those two, but that each row has
  // what time it is at its end.
  const char* pick_named;
  const char* mark_and_commit;      // as mark, of literals, and a COMMIT after it
  const char* mark_one_and_commit;  // the same, of :id
  const char* pick_lane;            // :queue, :kind, :now, :most; locks
  const char* pick_ids;             // locks
  const char* mark;

  const char* running_by_queue;  // queue, how many

  // Limits; what they mean is in limits.h.
  // 1 if any job is available that has to ask for a limit or a rate.
  const char* any_limits;
  const char* limit_keys;                // of :ids: job, key, 1 if it is a rate's, else 0
  const char* limit_keys_now = nullptr;  // likewise, where old_snapshots; locks
  const char* lock_slots;                // :ids
  const char* try_slots;                 // those of :ids that nobody else holds
  // Of :ids, if 18: job, key, limit, 2 or 18, how many run of the key, how many have
  // their place reserved, the least limit of those.
  const char* limits_now;
  // Of :rows (n, key), by lane: n, the lane, how many run, how many have their place
  // reserved, the least limit of those, how many are 18.
  const char* count_lanes;
  // Of :rows (n, key): n, a lane in which jobs wait, and it again; or the first and the
  // last of them (empty: none), and next_line finds those between. Null: what waits
  // cannot be seen.
  const char* end_lines;
  const char* next_line;  // of :key, after :lane and before :last; null: not needed
  // :limit_key, :lane, :most: job, limit, and its rate: key (empty: none), starts, period
  const char* pending_of_line;
  const char* add_limits;        // :rows
  const char* drop_limit;        // :id
  const char* forget_place;      // of :id, which has no limit any more
  const char* set_limits;        // :rows (job, state, run_at)
  const char* unreserve;         // those of :rows (limit_key) that nobody else holds: job
  const char* unreserve_picked;  // then, of these: :ids. Null: that has done it
  const char* free_jobs;  // :ids: from pending to :state, which is 18, or 2 and limited
  const char* hold_jobs;  // :ids: from available to pending
  // At :now, what a demand of :kinds and :queues (as claim_lone has them) may choose
  // from: of each lane that has any :most, with or without limits and rates. queue and
  // kind, or the lane and no kind; priority, run_at, id, key of the limit, key of the
  // rate. Null: all_lanes, and what is the best of each.
  const char* candidates;
  const char* limited_lanes;    // with available jobs, and not paused
  const char* best_of_limited;  // :lane, :now, :most: job, run_at, key, key of its rate
  const char* read_limits;      // of :ids: job, key, limit

  // Rates; what they mean is in rates.h.
  const char* rates_now;  // of :ids, if available, at :now: job, key, starts, period,
                          // how many have begun
  const char* end_rate_lines;   // as end_lines
  const char* next_rate_line;   // as next_line
  const char* waiting_of_rate;  // :rate_key, :lane, :most: job, starts, period, limit
                                // key, limit
  const char* count_starts;     // :rate_key, :after
  const char* count_rate_line;  // :rate_key, :lane: how many are available
  const char* newest_start;     // :rate_key, but :newer ones: at
  const char* add_rates;        // :rows
  const char* set_rates;        // :rows (job, state, run_at)
  const char* drop_rate;        // :id
  const char* add_starts;       // :rows (rate_key, at, job, fence)
  const char* take_start_back;  // :rate_key, :begun_at, :id, :fence
  const char* wake_rates;       // :rows (rate_key, period, wake_at): at the latest then
  const char* due_rates;        // :now, :most: rate_key
  const char* period_of_rate;   // :rate_key
  const char* forget_starts;    // :rate_key, :until
  const char* rate_in_use;      // :rate_key: 2: a start is kept; 1: a job is; else 0
  const char* set_rate_wake;    // :rate_key, :wake_at
  const char* drop_rate_key;    // :rate_key
  const char* read_rates;       // of :ids: job, key, starts, period

  // Rows as the rules see them, locked.
  const char* lock_jobs;
  const char* try_jobs;  // likewise; passes over what is locked
  // Of :rows (id, fence) those that run, or last ended, under that fence.
  const char* lock_runs;
  const char* try_runs;  // likewise; passes over what is locked
  const char* lock_history;
  // Of a session that says that it is not patient: without any wait. Null: none does.
  const char* lock_slots_now;
  const char* lock_runs_now;
  const char* lock_history_now;
  const char* try_history;  // likewise
  const char* save_jobs;
  Steps to_history;
  Steps to_jobs;
  const char* keep_history;  // until when a final row is kept: :rows of id, wake_at
  // Ends those of :rows that run under their fences as completed, with all that goes with
  // it; answers with ids and queues. Null: by the general way.
  const char* complete;
  const char* complete_and_forget;  // where completed jobs are not kept
  const char* add_attempts;
  const char* trim_attempts;

  // Beats.
  const char* renew;
  const char* running_of_worker;
  const char* read_notes;
  const char* save_notes;
  // Of :ids, up to 500, in their order, as many as are not long together (:most bytes,
  // and the one that passes it): job, hexadecimal bytes.
  const char* read_payloads;
  const char* read_checkpoints;  // likewise

  // Sweeping and purging.
  const char* due_jobs;     // at :now, :most after :passed; may lock these, and no others
  const char* due_history;  // likewise of final jobs
  // The jobs :ids, each as often as it has a name that an enqueue may hold: a unique key,
  // and where that locks it a request id. try_names locks these, and passes over what is
  // locked.
  const char* names;
  const char* try_names;
  const char* next_wake;       // what time it is, and when the next falls due
  const char* oldest_history;  // of :state, :most: id, when it ended
  Steps purge;
  const char* add_tally;
  const char* final_rows;
  const char* read_tally;  // locks
  const char* delete_tally;

  // Queues.
  const char* pause;
  const char* resume;
  const char* paused;
  const char* footprint;  // bytes, of which free; dead rows; oldest transaction, us

  // Reading.
  const char* not_final;
  const char* read_jobs;
  const char* read_sizes;  // of :ids: job, bytes; several rows a job
  const char* read_attempts;
  const char* list;
  // Of discarded and cancelled jobs, or of scheduled and retryable ones: whether there
  // are too many to be sorted for a page, as list does; and a page of those among the
  // next 10,000 rows of their table, which has them all if it is full.
  const char* list_many;
  const char* list_near;
  const char* count_available;
  const char* count_waiting;
  const char* count_final;
};

}  // namespace carrel::sql::server

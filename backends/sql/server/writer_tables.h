// The statements of the writer that have variables of their own. Private to the writer.
#pragma once

#include <chrono>

#include "server/lanes.h"
#include "server/limited_lanes.h"
#include "server/limits.h"
#include "server/queue_limits.h"
#include "server/writer.h"

namespace carrel::sql::server {

inline constexpr std::size_t kRowsAStatement = 1000;
// A claim holds the keys of all that it looked at, which others need, and its leases have
// begun.
inline constexpr auto kLongestClaim = std::chrono::milliseconds(500);

struct Writer::Tables {
  Tables(Session& s, const Statements& sql)
      : claim_requests(s, sql.claim_requests, soci::use(rows, "rows"), soci::into(bytes),
                       soci::into(id)),
        find_requests(s, sql.find_requests, soci::use(rows, "rows"), soci::into(bytes),
                      soci::into(id), soci::into(state), soci::into(queue),
                      soci::into(kind), soci::into(priority)),
        insert_jobs(s, sql.insert_jobs, soci::use(rows, "rows"), soci::use(now, "now"),
                    soci::into(id)),
        insert_alike(
            s, sql.insert_alike, soci::use(rows, "rows"), soci::use(now, "now"),
            soci::use(state, "state"), soci::use(queue, "queue"), soci::use(kind, "kind"),
            soci::use(priority, "priority"), soci::use(max_attempts, "max_attempts"),
            soci::use(wake_at.value, wake_at.indicator, "wake_at"),
            soci::use(expires_at.value, expires_at.indicator, "expires_at"),
            soci::use(run_at, "run_at"), soci::use(timeout, "timeout"), soci::into(id)),
        insert_job(s, sql.insert_job, soci::use(state, "state"),
                   soci::use(queue, "queue"), soci::use(kind, "kind"),
                   soci::use(priority, "priority"),
                   soci::use(max_attempts, "max_attempts"),
                   soci::use(wake_at.value, wake_at.indicator, "wake_at"),
                   soci::use(expires_at.value, expires_at.indicator, "expires_at"),
                   soci::use(run_at, "run_at"), soci::use(timeout, "timeout"),
                   soci::use(bytes, "payload"), soci::into(id)),
        start_job(s, sql.start_job, soci::use(kinds, "kinds"),
                  soci::use(queues_asked, "queues"), soci::use(queue, "queue"),
                  soci::use(kind, "kind"), soci::use(priority, "priority"),
                  soci::use(max_attempts, "max_attempts"),
                  soci::use(wake_at.value, wake_at.indicator, "wake_at"),
                  soci::use(expires_at.value, expires_at.indicator, "expires_at"),
                  soci::use(timeout, "timeout"), soci::use(bytes, "payload"),
                  soci::use(lease_end, "lease_end"),
                  soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
                  soci::into(id), soci::into(state), soci::into(idle)),
        start_job_if_idle(s, sql.start_job_if_idle, soci::use(queue, "queue"),
                          soci::use(kind, "kind"), soci::use(priority, "priority"),
                          soci::use(max_attempts, "max_attempts"),
                          soci::use(lease_end, "lease_end"),
                          soci::use(expires_at.value, expires_at.indicator, "expires_at"),
                          soci::use(timeout, "timeout"), soci::use(bytes, "payload"),
                          soci::use(claim_number, "claim_number"),
                          soci::use(worker, "worker"), soci::into(id), soci::into(state)),
        insert_payloads(s, sql.insert_payloads, soci::use(rows, "rows")),
        lock_keys(s, sql.lock_keys, soci::use(rows, "rows")),
        find_holders(s, sql.find_holders, soci::use(rows, "rows"), soci::into(bytes),
                     soci::into(id), soci::into(run_at), soci::into(state),
                     soci::into(queue), soci::into(kind), soci::into(priority)),
        find_holders_now(s, sql.find_holders_now, soci::use(rows, "rows"),
                         soci::into(bytes), soci::into(id), soci::into(run_at),
                         soci::into(state), soci::into(number)),
        check_holders(s, sql.check_holders, soci::use(ids, "ids"), soci::into(number)),
        hold_keys(s, sql.hold_keys, soci::use(now, "now"), soci::use(rows, "rows")),
        leave_keys(s, sql.leave_keys, rows, "rows"),
        forget_keys(s, sql.forget_keys, soci::use(now, "now"), soci::use(most, "most")),
        replace_payloads(s, sql.replace_payloads, rows, "rows"),
        claim_lanes(s, sql.claim_lanes, soci::use(lease_end, "lease_end"),
                    soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
                    soci::use(now, "now"), soci::use(rows, "rows"), soci::into(id),
                    soci::into(fence), soci::into(queue), soci::into(kind),
                    soci::into(bytes, has_bytes), soci::into(timeout),
                    soci::into(priority), soci::into(run_at), soci::into(attempt),
                    soci::into(max_attempts), soci::into(crashes), soci::into(limited)),
        claim_lane(s, sql.claim_lane, soci::use(lease_end, "lease_end"),
                   soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
                   soci::use(now, "now"), soci::use(queue, "queue"),
                   soci::use(kind, "kind"), soci::use(most, "most"), soci::into(id),
                   soci::into(fence), soci::into(queue), soci::into(kind),
                   soci::into(bytes, has_bytes), soci::into(timeout),
                   soci::into(priority), soci::into(run_at), soci::into(attempt),
                   soci::into(max_attempts), soci::into(crashes), soci::into(limited)),
        claim_lane_unless_limited(
            s, sql.claim_lane_unless_limited, soci::use(lease_end, "lease_end"),
            soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
            soci::use(now, "now"), soci::use(queue, "queue"), soci::use(kind, "kind"),
            soci::use(most, "most"), soci::into(id), soci::into(fence), soci::into(queue),
            soci::into(kind), soci::into(bytes, has_bytes), soci::into(timeout),
            soci::into(priority), soci::into(run_at), soci::into(attempt),
            soci::into(max_attempts), soci::into(crashes), soci::into(limited)),
        claim_ids(s, sql.claim_ids, soci::use(lease_end, "lease_end"),
                  soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
                  soci::use(now, "now"), soci::use(ids, "ids"), soci::use(state, "state"),
                  soci::into(id), soci::into(fence), soci::into(queue), soci::into(kind),
                  soci::into(bytes, has_bytes), soci::into(timeout), soci::into(priority),
                  soci::into(run_at), soci::into(attempt), soci::into(max_attempts),
                  soci::into(crashes), soci::into(limited)),
        claim_within(s, sql.claim_within, soci::use(lease_end, "lease_end"),
                     soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
                     soci::use(now, "now"), soci::use(rows, "rows"), soci::into(id),
                     soci::into(fence), soci::into(queue), soci::into(kind),
                     soci::into(bytes, has_bytes), soci::into(timeout),
                     soci::into(priority), soci::into(run_at), soci::into(attempt),
                     soci::into(max_attempts), soci::into(crashes), soci::into(limited)),
        claim_lone(s, sql.claim_lone, soci::use(kinds, "kinds"),
                   soci::use(queues_asked, "queues"), soci::use(most, "most"),
                   soci::use(lease_end, "lease_end"),
                   soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
                   soci::use(now, "now"), soci::into(number), soci::into(id),
                   soci::into(fence), soci::into(queue), soci::into(kind),
                   soci::into(bytes, has_bytes), soci::into(timeout),
                   soci::into(priority), soci::into(run_at), soci::into(attempt),
                   soci::into(max_attempts), soci::into(crashes), soci::into(limited)),
        claim_lone_unless_limited(
            s, sql.claim_lone_unless_limited, soci::use(kinds, "kinds"),
            soci::use(queues_asked, "queues"), soci::use(most, "most"),
            soci::use(lease_end, "lease_end"), soci::use(claim_number, "claim_number"),
            soci::use(worker, "worker"), soci::use(now, "now"), soci::into(number),
            soci::into(id), soci::into(fence), soci::into(queue), soci::into(kind),
            soci::into(bytes, has_bytes), soci::into(timeout), soci::into(priority),
            soci::into(run_at), soci::into(attempt), soci::into(max_attempts),
            soci::into(crashes), soci::into(limited)),
        candidates(s, sql.candidates, soci::use(kinds, "kinds"),
                   soci::use(queues_asked, "queues"), soci::use(now, "now"),
                   soci::use(most, "most"), soci::into(queue), soci::into(kind),
                   soci::into(priority), soci::into(run_at), soci::into(id),
                   soci::into(limit_key), soci::into(rate_key)),
        all_lanes(s, sql.all_lanes, soci::into(queue), soci::into(kind)),
        pick_lane(s, sql.pick_lane, soci::use(queue, "queue"), soci::use(kind, "kind"),
                  soci::use(now, "now"), soci::use(most, "most"), soci::into(id),
                  soci::into(fence), soci::into(queue), soci::into(kind),
                  soci::into(bytes, has_bytes), soci::into(timeout), soci::into(priority),
                  soci::into(run_at), soci::into(attempt), soci::into(max_attempts),
                  soci::into(crashes), soci::into(limited)),
        pick_ids(s, sql.pick_ids, soci::use(ids, "ids"), soci::use(now, "now"),
                 soci::use(state, "state"), soci::into(id), soci::into(fence),
                 soci::into(queue), soci::into(kind), soci::into(bytes, has_bytes),
                 soci::into(timeout), soci::into(priority), soci::into(run_at),
                 soci::into(attempt), soci::into(max_attempts), soci::into(crashes),
                 soci::into(limited)),
        mark(s, sql.mark, soci::use(lease_end, "lease_end"),
             soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
             soci::use(now, "now"), soci::use(ids, "ids")),
        complete(s, sql.complete, soci::use(rows, "rows"),
                 soci::use(wake_at.value, wake_at.indicator, "wake_at"),
                 soci::use(now, "now"), soci::into(id), soci::into(queue)),
        complete_and_forget(s, sql.complete_and_forget, soci::use(rows, "rows"),
                            soci::use(now, "now"), soci::into(id), soci::into(queue)),
        renew(s, sql.renew, soci::use(lease_end, "lease_end"), soci::use(ids, "ids")),
        running(s, sql.running_of_worker, soci::use(worker, "worker"),
                soci::use(claim_number, "settled"), soci::into(id), soci::into(fence)),
        read_payloads(s, sql.read_payloads, soci::use(ids, "ids"),
                      soci::use(most, "most"), soci::into(id),
                      soci::into(bytes, has_bytes)),
        read_checkpoints(s, sql.read_checkpoints, soci::use(ids, "ids"),
                         soci::use(most, "most"), soci::into(id),
                         soci::into(bytes, has_bytes)),
        due_jobs(s, sql.due_jobs, soci::use(now, "now"), soci::use(most, "most"),
                 soci::use(passed, "passed"), soci::into(id)),
        due_history(s, sql.due_history, soci::use(now, "now"), soci::use(most, "most"),
                    soci::use(passed, "passed"), soci::into(id)),
        keep_history(s, sql.keep_history, soci::use(rows, "rows")),
        names(s, sql.names, soci::use(ids, "ids"), soci::into(id)),
        try_names(s, sql.try_names, soci::use(ids, "ids"), soci::into(id)),
        next_wake(s, sql.next_wake, soci::into(number),
                  soci::into(wake_at.value, wake_at.indicator)),
        oldest(s, sql.oldest_history, soci::use(state, "state"), soci::use(most, "most"),
               soci::into(id), soci::into(wake_at.value, wake_at.indicator)),
        purge(s, sql.purge, ids, "ids"),
        add_tally(s, sql.add_tally, soci::use(rows, "rows")),
        final_rows(s, sql.final_rows, soci::into(number)),
        read_tally(s, sql.read_tally, soci::into(id), soci::into(queue),
                   soci::into(state), soci::into(number)),
        delete_tally(s, sql.delete_tally, soci::use(ids, "ids")),
        pause(s, sql.pause, soci::use(queue, "queue")),
        resume(s, sql.resume, soci::use(queue, "queue")),
        paused(s, sql.paused, soci::into(queue)),
        rows_of(s, sql),
        saver(s, sql),
        attempts(s, sql),
        notes(s, sql),
        lanes(s, sql),
        limited_lanes(s, sql.limited_lanes, sql.best_of_limited),
        limits(s, sql),
        queues(s, sql) {
    if (sql.prepare != nullptr && s.commits_alone()) {
      s.run_together(sql.prepare, [](std::size_t, std::span<const char* const>) {});
    }
  }

  // Before the statements, which borrow them.
  long long id = 0;
  long long fence = 0;
  long long number = 0;
  int state = 0;
  std::string queue;
  std::string kind;
  int priority = 0;
  int attempt = 0;
  int max_attempts = 0;
  int crashes = 0;
  int limited = 0;
  int idle = 0;
  Nullable wake_at;
  Nullable expires_at;
  long long now = 0;
  long long run_at = 0;
  long long timeout = 0;
  long long lease_end = 0;
  long long claim_number = 0;
  long long most = 0;
  long long passed = 0;
  std::string worker;
  std::string bytes;
  soci::indicator has_bytes = soci::i_ok;
  std::string ids;
  std::string rows;
  std::string kinds;
  std::string queues_asked;
  std::string limit_key;
  std::string rate_key;
  std::vector<JobId> beside;  // of what is claimed: those whose payload is not in the row
  std::unordered_set<JobId> reserved;  // of what is claimed: those that were `limited`
  std::unordered_map<JobId, long long> run_ats;  // of what take_with_limits() claims

  Statement claim_requests;
  Statement find_requests;
  Statement insert_jobs;
  Statement insert_alike;
  Statement insert_job;
  Statement start_job;
  Statement start_job_if_idle;
  Statement insert_payloads;
  Statement lock_keys;
  Statement find_holders;
  Statement find_holders_now;
  Statement check_holders;
  Statement hold_keys;
  Sequence leave_keys;
  Statement forget_keys;
  Sequence replace_payloads;
  Statement claim_lanes;
  Statement claim_lane;
  Statement claim_lane_unless_limited;
  Statement claim_ids;
  Statement claim_within;
  Statement claim_lone;
  Statement claim_lone_unless_limited;
  Statement candidates;
  Statement all_lanes;
  Statement pick_lane;
  Statement pick_ids;
  Statement mark;
  Statement complete;
  Statement complete_and_forget;
  Statement renew;
  Statement running;
  Statement read_payloads;
  Statement read_checkpoints;
  Statement due_jobs;
  Statement due_history;
  Statement keep_history;
  Statement names;
  Statement try_names;
  Statement next_wake;
  Statement oldest;
  Sequence purge;
  Statement add_tally;
  Statement final_rows;
  Statement read_tally;
  Statement delete_tally;
  Statement pause;
  Statement resume;
  Statement paused;

  RowLocker rows_of;
  RowSaver saver;
  AttemptSaver attempts;
  NotesTable notes;
  Lanes lanes;
  LimitedLanes limited_lanes;
  Limits limits;
  QueueLimits queues;
};

}  // namespace carrel::sql::server

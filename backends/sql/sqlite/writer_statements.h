// The statements of the writer that have variables of their own. Private to the writer.
#pragma once

#include "statements.h"
#include "writer.h"

namespace carrel::sql::sqlite {

struct Writer::Statements {
  explicit Statements(Place& place) : Statements(place.soci(), place.frame()) {}
  Statements(soci::session& s, const Place::Frame& frame)
      : begin(s, frame.begin),
        commit(s, frame.commit),
        rollback(s, frame.rollback),
        data_version(s, statements::kDataVersion, soci::into(number)),
        schema_cookie(s, statements::kSchemaCookie, soci::into(number)),
        find_request(s, statements::kFindRequest, soci::use(request_id, "request_id"),
                     soci::into(id), soci::into(state), soci::into(queue),
                     soci::into(kind), soci::into(priority)),
        insert_job(s, statements::kInsertJob, soci::use(state, "state"),
                   soci::use(queue, "queue"), soci::use(kind, "kind"),
                   soci::use(priority, "priority"),
                   soci::use(max_attempts, "max_attempts"),
                   soci::use(wake_at.value, wake_at.indicator, "wake_at"),
                   soci::use(expires_at.value, expires_at.indicator, "expires_at"),
                   soci::use(now, "enqueued_at"), soci::use(run_at, "run_at"),
                   soci::use(timeout, "timeout_us"),
                   soci::use(request_id, has_request_id, "request_id"),
                   soci::use(bytes, has_bytes, "payload")),
        insert_payload(s, statements::kInsertPayload, soci::use(id, "job"),
                       soci::use(bytes, "bytes")),
        replace_payload(s, statements::kReplacePayload,
                        soci::use(bytes, has_bytes, "payload"), soci::use(id, "id")),
        delete_payload(s, statements::kDeletePayload, soci::use(id, "job")),
        forget_checkpoint(s, statements::kForgetCheckpoint, soci::use(id, "job")),
        pick_lane(s, statements::kPickLane, soci::use(now, "now"),
                  soci::use(queue, "queue"), soci::use(kind, "kind"),
                  soci::use(most, "most"), soci::into(id), soci::into(fence),
                  soci::into(bytes, has_bytes), soci::into(timeout), soci::into(priority),
                  soci::into(run_at), soci::into(attempt), soci::into(max_attempts),
                  soci::into(crashes)),
        pick_limited_lane(s, statements::kPickLimitedLane, soci::use(now, "now"),
                          soci::use(queue, "queue"), soci::use(kind, "kind"),
                          soci::use(most, "most"), soci::into(id), soci::into(fence),
                          soci::into(bytes, has_bytes), soci::into(timeout),
                          soci::into(priority), soci::into(run_at), soci::into(attempt),
                          soci::into(max_attempts), soci::into(crashes),
                          soci::into(limit_key), soci::into(limit), soci::into(some_run)),
        pick_ids(s, statements::kPickIds, soci::use(now, "now"), soci::use(ids, "ids"),
                 soci::into(id), soci::into(fence), soci::into(queue), soci::into(kind),
                 soci::into(bytes, has_bytes), soci::into(timeout), soci::into(priority),
                 soci::into(run_at), soci::into(attempt), soci::into(max_attempts),
                 soci::into(crashes)),
        mark(s, statements::kMark, soci::use(lease_end, "lease_end"),
             soci::use(claim_number, "claim_number"), soci::use(worker, "worker"),
             soci::use(now, "now"), soci::use(ids, "ids")),
        complete(s, statements::kComplete, soci::use(fence, "fence"),
                 soci::use(wake_at.value, wake_at.indicator, "wake_at"),
                 soci::use(now, "now"), soci::use(bytes, "result"), soci::use(id, "id")),
        read_payload(s, statements::kReadPayload, soci::use(id, "job"),
                     soci::into(bytes)),
        forget_result(s, statements::kForgetResult, soci::use(id, "id")),
        renew(s, statements::kRenewLeases, soci::use(lease_end, "lease_end"),
              soci::use(ids, "ids")),
        running(s, statements::kRunningOfWorker, soci::use(worker, "worker"),
                soci::use(claim_number, "settled"), soci::into(id), soci::into(fence)),
        due(s, statements::kDueRows, soci::use(state, "state"), soci::use(now, "now"),
            soci::use(most, "most"), soci::into(id)),
        next_wake(s, statements::kNextWake, soci::use(state, "state"),
                  soci::into(number)),
        oldest(s, statements::kOldestFinal, soci::use(state, "state"),
               soci::use(most, "most"), soci::into(id),
               soci::into(ended_at.value, ended_at.indicator)),
        delete_jobs(s, statements::kDeleteJobs, soci::use(ids, "ids")),
        delete_payloads(s, statements::kDeletePayloads, soci::use(ids, "ids")),
        delete_notes(s, statements::kDeleteNotes, soci::use(ids, "ids")),
        delete_attempts(s, statements::kDeleteAttempts, soci::use(ids, "ids")),
        delete_limits(s, statements::kDeleteLimits, soci::use(ids, "ids")),
        delete_rates(s, statements::kDeleteRates, soci::use(ids, "ids")),
        add_tally(s, statements::kAddTally, soci::use(queue, "queue"),
                  soci::use(state, "state"), soci::use(number, "jobs")),
        final_rows(s, statements::kFinalRows, soci::into(number)),
        pause(s, statements::kPause, soci::use(queue, "queue")),
        resume(s, statements::kResume, soci::use(queue, "queue")) {}

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
  Nullable wake_at;
  Nullable expires_at;
  Nullable ended_at;
  long long now = 0;
  long long run_at = 0;
  long long timeout = 0;
  long long lease_end = 0;
  long long claim_number = 0;
  long long most = 0;
  std::string limit_key;
  long long limit = 0;
  int some_run = 0;
  std::string worker;
  std::string request_id;
  soci::indicator has_request_id = soci::i_ok;
  std::string bytes;
  soci::indicator has_bytes = soci::i_ok;
  std::string ids;

  Statement begin;
  Statement commit;
  Statement rollback;
  Statement data_version;
  Statement schema_cookie;
  Statement find_request;
  Statement insert_job;
  Statement insert_payload;
  Statement replace_payload;
  Statement delete_payload;
  Statement forget_checkpoint;
  Statement pick_lane;
  Statement pick_limited_lane;
  Statement pick_ids;
  Statement mark;
  Statement complete;
  Statement read_payload;
  Statement forget_result;
  Statement renew;
  Statement running;
  Statement due;
  Statement next_wake;
  Statement oldest;
  Statement delete_jobs;
  Statement delete_payloads;
  Statement delete_notes;
  Statement delete_attempts;
  Statement delete_limits;
  Statement delete_rates;
  Statement add_tally;
  Statement final_rows;
  Statement pause;
  Statement resume;
};

}  // namespace carrel::sql::sqlite

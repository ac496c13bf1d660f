#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <unordered_set>

#include "server/writer_tables.h"

namespace carrel::sql::server {
std::vector<Inserted> Writer::insert(std::span<const NewJob* const> jobs) {
  std::vector<Inserted> answers(jobs.size());
  std::vector<std::optional<JobId>> ids(jobs.size());
  lock_limits(jobs);
  find_requests(jobs, answers, ids);
  std::vector<bool> done(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) done[i] = answers[i].existed;
  insert_unique(jobs, answers, ids, done);
  insert_rows(jobs, answers, ids, done);
  hand_out(settle(), answers);
  return answers;
}

// Of jobs that were held until it was known that they may run.
void Writer::hand_out(const std::vector<Ticket>& freed, std::span<Inserted> answers) {
  for (const Ticket& ticket : freed) {
    for (Inserted& answer : answers) {
      if (answer.id == ticket.id) answer.ticket = ticket;
    }
  }
}

// Whose request_id is known is answered; whose is new gets its id.
void Writer::find_requests(std::span<const NewJob* const> jobs,
                           std::span<Inserted> answers,
                           std::vector<std::optional<JobId>>& ids) {
  auto& t = *tables_;
  std::map<std::string, std::vector<std::size_t>> asked;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i]->request_id.empty()) asked[jobs[i]->request_id].push_back(i);
  }
  // A request that is neither new nor known was purged in between, or is being purged.
  for (int round = 0; !asked.empty(); ++round) {
    if (round == 10) throw std::runtime_error("a request id neither exists nor can be");
    JsonRows rows;
    for (const auto& [request, places] : asked) {
      rows.row().add_bytes("request_id", request);
    }
    t.rows = rows.take();
    t.claim_requests.rows([&] {
      const auto found = asked.find(from_hex(t.bytes));
      if (found == asked.end()) return;
      ids[found->second.front()] = to_id(t.id);
      // The same again in this batch: the first is its job.
      const NewJob& first = *jobs[found->second.front()];
      for (std::size_t n = 1; n < found->second.size(); ++n) {
        Inserted& twin = answers[found->second[n]];
        twin.id = to_id(t.id);
        twin.existed = true;
        if (first.delay <= Duration::zero()) {
          twin.ticket = {twin.id, first.queue, first.kind, first.priority};
        }
      }
      asked.erase(found);
    });
    if (asked.empty()) return;
    for (const auto& [request, places] : asked) {
      rows.row().add_bytes("request_id", request);
    }
    t.rows = rows.take();
    t.find_requests.rows([&] {
      const auto found = asked.find(from_hex(t.bytes));
      if (found == asked.end()) return;
      for (const std::size_t place : found->second) {
        Inserted& answer = answers[place];
        answer.id = to_id(t.id);
        answer.existed = true;
        if (to_state(t.state) == State::kAvailable) {
          answer.ticket = {answer.id, t.queue, t.kind,
                           static_cast<std::int16_t>(t.priority)};
        }
      }
      asked.erase(found);
    });
  }
}

// Before anything is written: whoever holds a lock does not wait for these. Of the jobs,
// and of those that they may replace.
void Writer::lock_limits(std::span<const NewJob* const> jobs) {
  auto& limits = tables_->limits;
  if (const auto ids = replaceable(jobs); !ids.empty()) limits.know(ids);
  limits.lock_keys(jobs);
}

void Writer::insert_rows(std::span<const NewJob* const> jobs, std::span<Inserted> answers,
                         std::vector<std::optional<JobId>>& ids,
                         const std::vector<bool>& done) {
  auto& t = *tables_;
  std::vector<rules::Row> states(jobs.size());
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const NewJob& job = *jobs[i];
    states[i] = rules::admit(now_, job.delay, job.start_within, job.max_attempts);
  }
  const std::vector<bool> reserved = hold_limited(jobs, states, done);
  const auto due_at = [&](const rules::Row& row) {
    return row.state == State::kScheduled ? row.wake_at : now_;
  };
  std::vector<NewRow> rows;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (done[i]) continue;
    const NewJob& job = *jobs[i];
    const rules::Row& row = states[i];
    const bool limited = row.state == State::kAvailable && job.limit;
    const int state = !limited      ? static_cast<int>(row.state)
                      : reserved[i] ? kAvailableReserved
                                    : kAvailableLimited;
    rows.push_back({.job = job,
                    .id = ids[i],
                    .answer = answers[i],
                    .common = {.state = state,
                               .queue = job.queue,
                               .kind = job.kind,
                               .priority = job.priority,
                               .max_attempts = row.max_attempts,
                               .wake_at = wake_column(row),
                               .expires_at = to_column(row.expires_at),
                               .run_at = due_at(row).time_since_epoch().count(),
                               .timeout = job.timeout.count()}});
  }
  write_rows(rows);

  std::unordered_set<JobId> waits;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (done[i]) continue;
    const NewJob& job = *jobs[i];
    if (job.limit || job.rate) {
      t.limits.add(answers[i].id, job, states[i].state, due_at(states[i]), reserved[i]);
    }
    if (states[i].state == State::kAvailable) {
      answers[i].ticket = {answers[i].id, job.queue, job.kind, job.priority};
      add_work(job.queue, job.kind);
    } else if (states[i].state == State::kPending) {
      waits.insert(answers[i].id);
    }
  }
  t.limits.write_added();
  insert_payloads(jobs, answers, done);
  if (waits.empty()) return;
  for (Inserted& answer : answers) {  // the same request twice
    if (waits.contains(answer.id)) answer.ticket.reset();
  }
}

// Those that cannot run now. Whose place is reserved is told.
std::vector<bool> Writer::hold_limited(std::span<const NewJob* const> jobs,
                                       std::span<rules::Row> states,
                                       const std::vector<bool>& done) {
  std::vector<bool> reserved(jobs.size());
  std::vector<Limits::Placing> placing;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (done[i] || states[i].state != State::kAvailable) continue;
    if (jobs[i]->rate) {
      rules::hold(states[i]);  // until settle()
    } else if (jobs[i]->limit) {
      placing.push_back({jobs[i], &states[i]});
    }
  }
  if (placing.empty()) return reserved;
  tables_->limits.place(placing);
  for (const Limits::Placing& each : placing) {
    reserved[static_cast<std::size_t>(each.row - states.data())] = each.reserved;
  }
  return reserved;
}

void Writer::insert_payloads(std::span<const NewJob* const> jobs,
                             std::span<const Inserted> answers,
                             const std::vector<bool>& done) {
  auto& t = *tables_;
  JsonRows rows;
  const auto flush_rows = [&] {
    if (rows.empty()) return;
    t.rows = rows.take();
    t.insert_payloads.run();
  };
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (done[i] || jobs[i]->payload.size() <= kInlinePayload) continue;
    rows.row().add("job", to_column(answers[i].id)).add_bytes("bytes", jobs[i]->payload);
    if (rows.full()) flush_rows();
  }
  flush_rows();
}

}  // namespace carrel::sql::server

#include "memory_store.h"

#include <carrel/kept.h>

#include <algorithm>
#include <utility>

#include "access.h"
#include "check.h"
#include "row_view.h"

namespace carrel::memory {

MemoryStore::MemoryStore(const BackendOptions& options)
    : clock_(options.clock != nullptr ? *options.clock : process_clock()),
      jobs_(options.retention, options.queue_limits) {}

StoreTraits MemoryStore::traits() const noexcept {
  return {.reach = Reach::kProcess,
          .limits = true,
          .unique = true,
          .rates = true,
          .queue_limits = true,
          .blocks = false};
}

void MemoryStore::tell_waiters(Wakes& wakes) {
  for (Bucket* bucket : jobs_.fresh()) {
    const std::size_t count = std::exchange(bucket->fresh, 0);
    if (!waiters_.empty() && !bucket->paused) {
      waiters_.call(bucket->queue, bucket->kind, count, wakes);
    }
  }
  jobs_.fresh().clear();
  for (auto& [queue, limit] : jobs_.buckets().limits()) {
    const bool eased = limit.running < std::exchange(limit.known, limit.running);
    if (!eased || limit.full() || waiters_.empty()) continue;
    jobs_.buckets().for_each_active(queue, [&](const Bucket& bucket) {
      if (!bucket.paused) waiters_.call(queue, bucket.kind, limit.room(), wakes);
    });
  }
  jobs_.freed().clear();  // those of calls that cannot answer with them
  for (const JobId id : jobs_.ended()) {
    const auto [from, to] = watchers_.equal_range(value(id));
    for (auto it = from; it != to; ++it) {
      if (!std::exchange(it->second->called, true)) wakes.add(it->second->signal);
    }
  }
  jobs_.ended().clear();
}

std::vector<Result<Inserted>> MemoryStore::insert(std::span<const NewJob> jobs,
                                                  Duration /*deadline*/) {
  std::vector<Result<Inserted>> answers;
  answers.reserve(jobs.size());
  const NewJob* checked = nullptr;
  Access access(*this);
  for (const NewJob& job : jobs) {
    if (auto ok = check(job, checked); !ok) {
      answers.emplace_back(tl::unexpect, std::move(ok.error()));
      continue;
    }
    checked = &job;
    if (!job.request_id.empty()) {
      if (const Row* first = jobs_.find_request(job.request_id)) {
        Inserted& known = answers.emplace_back().value();
        known.id = first->id;
        known.existed = true;
        if (first->rule.state == State::kAvailable) known.ticket = ticket_of(*first);
        continue;
      }
    }
    if (job.unique) {
      if (auto met = meet(job, access.now())) {
        answers.emplace_back(std::move(*met));
        continue;
      }
    }
    const Row& row = jobs_.insert(job, access.now());
    Inserted& inserted = answers.emplace_back().value();
    inserted.id = row.id;
    if (row.rule.state == State::kAvailable) inserted.ticket = ticket_of(row);
  }
  return answers;
}

std::optional<Inserted> MemoryStore::meet(const NewJob& job, Time now) {
  const UniqueKey* held = jobs_.uniques().find(job.unique->key);
  if (held == nullptr || !rules::meets(*job.unique, held->state(), held->enqueued, now)) {
    return std::nullopt;
  }
  Inserted met{held->job, true, false, {}};
  if (held->row == nullptr) return met;
  if (job.unique->on_conflict != OnConflict::kSkip) {
    met.replaced = jobs_.replace(*held->row, job, now);
  }
  if (held->row->rule.state == State::kAvailable) met.ticket = ticket_of(*held->row);
  return met;
}

Result<std::vector<ClaimAnswer>> MemoryStore::claim(std::span<const Ticket> tickets,
                                                    std::string_view worker,
                                                    std::uint64_t claim_number,
                                                    Duration lease) {
  std::vector<ClaimAnswer> answers;
  answers.reserve(tickets.size());
  Access access(*this);
  for (const Ticket& ticket : tickets) {
    Row* row = jobs_.find(ticket.id);
    if (row == nullptr) {
      answers.emplace_back(tl::unexpect, Refusal::kGone);
    } else if (row->rule.state == State::kAvailable && row->bucket->paused) {
      answers.emplace_back(tl::unexpect, Refusal::kPaused);
    } else if (row->rule.state == State::kAvailable && row->bucket->limit != nullptr &&
               row->bucket->limit->full()) {
      answers.emplace_back(tl::unexpect, Refusal::kLimited);  // and is found again
    } else if (row->rule.state == State::kAvailable &&
               Jobs::full_for(*row, access.now())) {
      jobs_.hold_back(*row, access.now());
      answers.emplace_back(tl::unexpect, Refusal::kLimited);
    } else if (const auto refusal =
                   start(*row, known(worker), claim_number, lease, access.now())) {
      answers.emplace_back(tl::unexpect, *refusal);
    } else {
      fill_claimed(answers.emplace_back().value(), *row);
    }
  }
  return answers;
}

const rules::WorkerId& MemoryStore::known(std::string_view worker) {
  if (!(last_worker_ == worker)) last_worker_ = rules::WorkerId(worker);
  return last_worker_;
}

std::optional<Refusal> MemoryStore::start(Row& row, const rules::WorkerId& worker,
                                          std::uint64_t claim_number, Duration lease,
                                          Time now) {
  std::optional<Refusal> refusal;
  jobs_.start(row, now, [&](Row& r) {
    refusal = rules::claim(r.rule, worker, claim_number, lease, now);
    if (refusal) return;
    r.started = now;
    if (RateLine* rate = r.rate_line()) rate->start(now);
  });
  return refusal;
}

std::vector<Claimed> MemoryStore::take(const Demand& demand, std::string_view worker,
                                       std::uint64_t claim_number, Duration lease,
                                       Time now) {
  constexpr std::size_t kUsual = 256;  // rows that a claim is made ready for at once
  std::vector<Claimed> taken;
  std::vector<Row*> full;
  const rules::WorkerId& id = known(worker);
  // Where its limit or rate is full a row is passed over, and stays where it is while the
  // others are walked.
  jobs_.buckets().best(Buckets::Wanted(demand), demand.max, now, [&](Row& row) {
    if (Jobs::full_for(row, now)) {
      full.push_back(&row);
      return false;
    }
    if (start(row, id, claim_number, lease, now)) return false;
    if (taken.empty()) taken.reserve(std::min(demand.max, kUsual));
    fill_claimed(taken.emplace_back(), row);
    return true;
  });
  for (Row* row : full) {
    if (row->rule.state == State::kAvailable) jobs_.hold_back(*row, now);
  }
  return taken;
}

Result<std::vector<Pulse>> MemoryStore::beat(std::string_view worker,
                                             std::uint64_t settled_claim,
                                             std::span<const Beat> beats, bool renew,
                                             Duration lease) {
  std::vector<Pulse> pulses;
  pulses.reserve(beats.size());
  Access access(*this);
  const Time now = access.now();
  ++beats_;
  for (const Beat& beat : beats) {
    Row* row = jobs_.find(beat.lease.id);
    if (row == nullptr) {
      pulses.push_back(Pulse::kStale);
      continue;
    }
    Pulse pulse{};
    if (renew) {
      jobs_.move(*row, now, [&](Row& r) {
        pulse = rules::beat(r.rule, beat.lease.fence, true, lease, now);
        return pulse != Pulse::kStale;
      });
    } else {
      pulse = rules::beat(row->rule, beat.lease.fence, false, lease, now);
    }
    pulses.push_back(pulse);
    if (pulse == Pulse::kStale) continue;
    row->named = beats_;
    if (beat.progress) row->more().progress = bounded(*beat.progress);
    if (beat.checkpoint) row->more().checkpoint = *beat.checkpoint;
    if (!beat.log.empty()) rules::append_log(row->more().log, beat.log);
  }
  release_unnamed(worker, settled_claim, now);
  return pulses;
}

void MemoryStore::release_unnamed(std::string_view worker, std::uint64_t settled_claim,
                                  Time now) {
  std::vector<Row*> unnamed;
  RowOrder<ByWake>::Cursor cursor(jobs_.timers(State::kRunning));
  for (; cursor.get() != nullptr; cursor.step()) {
    Row& row = *cursor.get();
    if (row.named != beats_ && row.rule.worker == worker) unnamed.push_back(&row);
  }
  for (Row* row : unnamed) {
    if (row->rule.claim_number > settled_claim) continue;
    jobs_.move(*row, now, [&](Row& r) {
      if (!rules::release_unnamed(r.rule, worker, settled_claim, jobs_.keep(), now)) {
        return false;
      }
      if (RateLine* rate = r.rate_line()) rate->not_begun(r.started);
      return true;
    });
  }
}

std::vector<Result<Finished>> MemoryStore::finish(std::span<const Finish> runs) {
  std::vector<Result<Finished>> answers;
  answers.reserve(runs.size());
  Access access(*this);
  const Time now = access.now();
  for (const Finish& run : runs) {
    Finished& answer = answers.emplace_back().value();
    Row* row = jobs_.find(run.lease.id);
    if (row == nullptr) {
      answer.kind = Finished::Kind::kStale;
      continue;
    }
    jobs_.move(*row, now, [&](Row& r) {
      answer.kind = rules::finish(r.rule, run.lease.fence, run.verdict, run.retry_in,
                                  run.crashed, jobs_.keep(), now);
      answer.state = r.rule.state;
      if (answer.kind != Finished::Kind::kApplied) return false;
      keep_outcome(r, run, now);
      RateLine* const rate = r.rate_line();
      if (rate != nullptr && run.verdict == Verdict::kReleased)
        rate->not_begun(r.started);
      return true;
    });
    if (!jobs_.freed().empty()) answer.freed = std::exchange(jobs_.freed(), {});
  }
  if (!answers.empty()) add_eased(now, answers.back()->freed);
  return answers;
}

void MemoryStore::add_eased(Time now, std::vector<Ticket>& tickets) {
  for (const auto& [queue, limit] : jobs_.buckets().limits()) {
    if (limit.running >= limit.known) continue;
    const Buckets::Wanted wanted{std::span(&queue, 1)};
    jobs_.buckets().best(wanted, limit.known - limit.running, now, [&](const Row& row) {
      tickets.push_back(ticket_of(row));
      return true;
    });
  }
}

void MemoryStore::keep_outcome(Row& row, const Finish& run, Time now) {
  const State state = row.rule.state;
  if (state == State::kCompleted) row.result = run.result;
  if (state == State::kRetryable || state == State::kScheduled) {
    row.run_at = row.rule.wake_at;
  }
  if (run.attempt) append_attempt(row, *run.attempt, now);
  if (run.progress) row.more().progress = bounded(*run.progress);
  if (run.checkpoint) row.more().checkpoint = *run.checkpoint;
  if (!run.log.empty()) rules::append_log(row.more().log, run.log);
}

Result<std::vector<Cancelled>> MemoryStore::cancel(std::span<const JobId> ids) {
  std::vector<Cancelled> answers;
  answers.reserve(ids.size());
  Access access(*this);
  const Time now = access.now();
  for (const JobId id : ids) {
    Cancelled& answer = answers.emplace_back(Cancelled::kNotFound);
    if (Row* row = jobs_.find(id)) {
      jobs_.move(*row, now, [&](Row& r) {
        answer = rules::cancel(r.rule, jobs_.keep(), now);
        return answer != Cancelled::kAlreadyFinal;
      });
    }
  }
  return answers;
}

std::vector<Result<Ticket>> MemoryStore::retry(std::span<const JobId> ids) {
  std::vector<Result<Ticket>> answers;
  answers.reserve(ids.size());
  Access access(*this);
  const Time now = access.now();
  for (const JobId id : ids) {
    const std::string name = "job " + std::to_string(value(id));
    Row* row = jobs_.find(id);
    if (row == nullptr) {
      answers.emplace_back(fail(Code::kNotFound, "no " + name, "memory"));
      continue;
    }
    bool moved = false;
    jobs_.move(*row, now, [&](Row& r) {
      moved = rules::retry(r.rule, now);
      if (!moved) return false;
      r.run_at = now;
      r.ended = kNever;
      r.result.clear();
      return true;
    });
    if (moved) {
      answers.emplace_back(ticket_of(*row));
    } else {
      answers.emplace_back(fail(
          Code::kInvalid,
          name + " is " + std::string(to_string(row->rule.state)) + " and needs no retry",
          "memory"));
    }
  }
  return answers;
}

Result<std::vector<Ticket>> MemoryStore::peek(const Demand& demand) {
  std::vector<Ticket> tickets;
  Access access(*this);
  jobs_.buckets().best(Buckets::Wanted(demand), demand.max, access.now(),
                       [&](const Row& row) {
                         tickets.push_back(ticket_of(row));
                         return true;
                       });
  return tickets;
}

Result<std::vector<Ticket>> MemoryStore::set_paused(std::string_view queue, bool paused) {
  constexpr std::size_t kMostTickets = 1024;
  const std::string name(queue);
  if (auto ok = check_queue(name); !ok) {
    return tl::unexpected<Error>(std::move(ok.error()));
  }
  std::vector<Ticket> tickets;
  Access access(*this);
  jobs_.buckets().set_paused(name, paused);
  if (paused) return tickets;
  const Buckets::Wanted wanted{std::span(&name, 1)};
  jobs_.buckets().best(wanted, kMostTickets, access.now(), [&](const Row& row) {
    tickets.push_back(ticket_of(row));
    return true;
  });
  jobs_.buckets().for_each([&](const Bucket& bucket) {
    if (bucket.queue == name && !bucket.ready.empty()) access.call(bucket);
  });
  return tickets;
}

}  // namespace carrel::memory

// What a worker says about its runs: beats and finishes. Both check (id, fence, running)
// first.
#include <set>

#include "check.h"
#include "writer_statements.h"

namespace carrel::sql::sqlite {

const std::optional<std::string>& Writer::checkpoint_of(
    JobId job, const std::optional<std::string>& checkpoint) const {
  return kept_checkpoint(job, checkpoint, kMaxPayload, options_.log);
}

// A completion of a run that this store granted: one statement, whose WHERE is the fence.
// False: it is not one, or the fence does not hold; nothing was written.
bool Writer::finish_granted(const Finish& run, Time at) {
  const auto found = granted_.find(run.lease.id);
  if (run.verdict != Verdict::kCompleted || run.crashed || found == granted_.end() ||
      found->second.fence != run.lease.fence) {
    return false;
  }
  auto& s = *statements_;
  rules::Row row;
  row.state = State::kRunning;
  row.fence = run.lease.fence;
  rules::finish(row, row.fence, run.verdict, {}, false, options_.retention, at);
  s.id = to_column(run.lease.id);
  s.fence = static_cast<long long>(value(run.lease.fence));
  s.now = at.time_since_epoch().count();
  s.wake_at.set(wake_column(row));
  s.bytes = run.result;
  s.complete.run();
  if (s.complete.affected() == 0) return false;
  const auto grant = std::move(found->second.grant);
  granted_.erase(found);
  if (run.attempt) {
    attempts_.add({run.lease, grant->worker, grant->started}, *run.attempt, at);
  }
  notes_.add(run.lease.id, run.progress, checkpoint_of(run.lease.id, run.checkpoint),
             run.log);
  if (limits_.any()) limits_.finished(run.lease.id);
  if (queues_.any()) queues_.ended(grant->queue);
  became_final(run.lease.id, grant->queue, row, at);
  return true;
}

Finished Writer::finish_row(StoredRow& row, const Finish& run, Time at) {
  Finished answer;
  answer.kind = rules::finish(row.rule, run.lease.fence, run.verdict, run.retry_in,
                              run.crashed, options_.retention, at);
  answer.state = row.rule.state;
  if (is_confirmed_by(answer, run)) {
    if (queues_.any()) queues_.ended(row.queue);  // in the host's, which tells nobody
    row.rule.wake_at = kept_until(options_.retention, at);
    notes_.add(row.id, run.progress, checkpoint_of(row.id, run.checkpoint), run.log);
    moved(row, State::kCompleted, at);
  }
  if (answer.kind != Finished::Kind::kApplied) return answer;
  if (run.attempt) {
    attempts_.add({run.lease, row.rule.worker.text(), row.started}, *run.attempt, at);
  }
  notes_.add(row.id, run.progress, checkpoint_of(row.id, run.checkpoint), run.log);
  if (run.verdict == Verdict::kReleased) limits_.not_begun(row);
  moved(row, State::kRunning, at,
        run.verdict == Verdict::kCompleted ? &run.result : nullptr);
  return answer;
}

std::vector<Finished> Writer::finish(std::span<const Finish* const> runs) {
  const Time at = now();
  std::vector<Finished> answers(runs.size());
  std::vector<std::size_t> others;
  std::vector<JobId> ids;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (finish_granted(*runs[i], at)) continue;  // answers[i] says so already
    others.push_back(i);
    ids.push_back(runs[i]->lease.id);
  }
  auto rows = loader_.load(ids);
  for (const std::size_t i : others) {
    const auto found = rows.find(runs[i]->lease.id);
    if (found == rows.end()) {
      answers[i].kind = Finished::Kind::kStale;
    } else {
      answers[i] = finish_row(found->second, *runs[i], at);
    }
  }
  remove_doomed();
  if (!answers.empty()) answers.back().freed = freed(at);
  return answers;
}

std::vector<Pulse> Writer::beat(std::string_view worker, std::uint64_t settled_claim,
                                std::span<const Beat> beats, bool renew, Duration lease) {
  auto& s = *statements_;
  const Time at = now();
  std::vector<JobId> ids;
  ids.reserve(beats.size());
  for (const Beat& beat : beats) ids.push_back(beat.lease.id);
  auto rows = loader_.load(ids);
  std::vector<Pulse> pulses;
  pulses.reserve(beats.size());
  std::vector<JobId> renewed;
  for (const Beat& beat : beats) {
    const auto found = rows.find(beat.lease.id);
    if (found == rows.end()) {
      pulses.push_back(Pulse::kStale);
      continue;
    }
    rules::Row& rule = found->second.rule;
    pulses.push_back(rules::beat(rule, beat.lease.fence, renew, lease, at));
    if (pulses.back() == Pulse::kStale) continue;
    s.lease_end = rule.wake_at.time_since_epoch().count();
    renewed.push_back(beat.lease.id);
    notes_.add(beat.lease.id, beat.progress,
               checkpoint_of(beat.lease.id, beat.checkpoint), beat.log);
  }
  if (renew && !renewed.empty()) {
    s.ids = json_array(renewed);
    s.renew.run();
  }
  free_unnamed(worker, settled_claim, beats, at);
  return pulses;
}

void Writer::free_unnamed(std::string_view worker, std::uint64_t settled_claim,
                          std::span<const Beat> beats, Time at) {
  auto& s = *statements_;
  std::set<std::pair<long long, std::uint64_t>> named;
  for (const Beat& beat : beats) {
    named.emplace(to_column(beat.lease.id), value(beat.lease.fence));
  }
  s.worker = worker;
  s.claim_number = static_cast<long long>(settled_claim);
  std::vector<JobId> lost;
  s.running.rows([&] {
    if (!named.contains({s.id, static_cast<std::uint64_t>(s.fence)})) {
      lost.push_back(JobId{static_cast<std::uint64_t>(s.id)});
    }
  });
  for (auto& [id, row] : loader_.load(lost)) {
    if (rules::release_unnamed(row.rule, worker, settled_claim, options_.retention, at)) {
      limits_.not_begun(row);
      moved(row, State::kRunning, at);
    }
  }
  remove_doomed();
  freed(at);
}

}  // namespace carrel::sql::sqlite

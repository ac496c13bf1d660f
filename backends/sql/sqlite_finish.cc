// What a worker says about its runs: beats and finishes. Both check (id, fence, running)
// first.
#include <set>

#include "check.h"
#include "sqlite_writer_statements.h"

namespace carrel::sql::sqlite {

std::vector<Finished> Writer::finish(std::span<const Finish* const> runs) {
  const Time at = now();
  std::vector<JobId> ids;
  ids.reserve(runs.size());
  for (const Finish* run : runs) ids.push_back(run->lease.id);
  auto rows = loader_.load(ids);
  std::vector<Finished> answers;
  answers.reserve(runs.size());
  for (const Finish* run : runs) {
    Finished& answer = answers.emplace_back();
    const auto found = rows.find(run->lease.id);
    if (found == rows.end()) {
      answer.kind = Finished::Kind::kStale;
      continue;
    }
    StoredRow& row = found->second;
    answer.kind = rules::finish(row.rule, run->lease.fence, run->verdict, run->retry_in,
                                run->crashed, options_.retention, at);
    answer.state = row.rule.state;
    if (answer.kind != Finished::Kind::kApplied) continue;
    if (run->attempt) attempts_.add(row, *run->attempt, at);
    notes_.add(row.id, run->progress, run->checkpoint, run->log);
    moved(row, State::kRunning, at,
          run->verdict == Verdict::kCompleted ? &run->result : nullptr);
  }
  remove_doomed();
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
    notes_.add(beat.lease.id, beat.progress, beat.checkpoint, beat.log);
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
      moved(row, State::kRunning, at);
    }
  }
  remove_doomed();
}

}  // namespace carrel::sql::sqlite

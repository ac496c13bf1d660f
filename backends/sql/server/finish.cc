// What a worker says about its runs: beats and finishes. Both check (id, fence, running)
// first.
#include <carrel/kept.h>

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>
#include <utility>

#include "check.h"
#include "server/writer_tables.h"

namespace carrel::sql::server {
namespace {

constexpr long long kEveryClaim = std::numeric_limits<long long>::max();

bool is_plain(const Finish& run) {
  return run.verdict == Verdict::kCompleted && !run.crashed &&
         (!run.attempt || sql::is_plain(*run.attempt)) &&
         !is_news(run.progress, run.checkpoint, run.log) &&
         value(run.lease.fence) <= rules::kKeptAttempts;
}

}  // namespace

const std::optional<std::string>& Writer::checkpoint_of(
    JobId job, const std::optional<std::string>& checkpoint) const {
  return kept_checkpoint(job, checkpoint, driver_.max_payload(), options_.log);
}

// Most finishes: what they write does not depend on what the row says beside its fence.
void Writer::complete(std::span<const Finish* const> runs, std::span<Finished> answers,
                      std::vector<std::size_t>& others) {
  auto& t = *tables_;
  rules::Row end;
  end.state = State::kRunning;
  end.fence = Fence{1};
  rules::finish(end, end.fence, Verdict::kCompleted, {}, false, options_.retention, now_);
  const bool keep = end.wake_at > now_;
  std::unordered_map<JobId, std::size_t> asked;
  JsonRows rows;
  const auto end_them = [&] {
    if (rows.empty()) return;
    t.rows = rows.take();
    t.wake_at.set(end.wake_at.time_since_epoch().count());
    (keep ? t.complete : t.complete_and_forget).rows([&] {
      const auto found = asked.find(to_id(t.id));
      if (found == asked.end()) return;
      ended_.push_back(found->first);
      t.limits.completed(found->first);
      if (t.queues.any()) t.queues.ended(t.queue);
      answers[found->second] = Finished{};
      asked.erase(found);
    });
    if (keep) ++tallied_;
  };
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Finish& run = *runs[i];
    // What is forgotten at once is not looked for beside its row.
    const bool plain = is_plain(run) && (keep || !t.limits.knows(run.lease.id));
    if (!t.complete || !plain || !asked.emplace(run.lease.id, i).second) {
      others.push_back(i);
      continue;
    }
    rows.row()
        .add("id", to_column(run.lease.id))
        .add("fence", to_column(run.lease.fence));
    if (keep) {
      rows.add_bytes("result", run.result);
      if (run.attempt) {
        rows.add("attempt", run.attempt->attempt)
            .add("wall_us", run.attempt->usage.wall.count());
      }
    }
    if (rows.full()) end_them();
  }
  end_them();
  for (const auto& [id, place] : asked) others.push_back(place);
}

std::vector<Finished> Writer::finish(std::span<const Finish* const> runs) {
  auto& t = *tables_;
  std::vector<Finished> answers(runs.size());
  std::vector<std::size_t> others;
  std::vector<JobId> ids;
  ids.reserve(runs.size());
  for (const Finish* run : runs) ids.push_back(run->lease.id);
  t.limits.know_ended(ids);
  complete(runs, answers, others);
  if (!others.empty()) finish_others(runs, answers, std::move(others));
  auto freed = flush();
  if (!answers.empty()) answers.back().freed = std::move(freed);
  return answers;
}

void Writer::finish_others(std::span<const Finish* const> runs,
                           std::span<Finished> answers, std::vector<std::size_t> others) {
  auto& t = *tables_;
  std::sort(others.begin(), others.end());
  std::vector<Lease> leases;
  for (const std::size_t i : others) leases.push_back(runs[i]->lease);
  auto rows = t.rows_of.lock_runs(leases);
  std::vector<NotesTable::News> news;
  const auto add_news = [&](const Finish& run) {
    news.push_back({run.lease.id, run.progress,
                    checkpoint_of(run.lease.id, run.checkpoint), run.log});
  };
  for (const std::size_t i : others) {
    const Finish& run = *runs[i];
    const auto found = rows.find(run.lease.id);
    if (found == rows.end()) {
      answers[i].kind = Finished::Kind::kStale;
      continue;
    }
    StoredRow& row = found->second;
    answers[i].kind = rules::finish(row.rule, run.lease.fence, run.verdict, run.retry_in,
                                    run.crashed, options_.retention, now_);
    answers[i].state = row.rule.state;
    if (is_confirmed_by(answers[i], run)) {
      t.queues.ended(row.queue);  // in the host's transaction, which tells nobody
      row.rule.wake_at = kept_until(options_.retention, now_);
      add_news(run);
      moved(row, State::kCompleted);
    }
    if (answers[i].kind != Finished::Kind::kApplied) continue;
    if (run.attempt) t.attempts.add(row, run.lease.fence, *run.attempt, now_);
    add_news(run);
    if (run.verdict == Verdict::kReleased) t.limits.not_begun(row);
    moved(row, State::kRunning,
          run.verdict == Verdict::kCompleted ? &run.result : nullptr);
  }
  t.notes.add(news);
}

std::vector<Pulse> Writer::beat(std::string_view worker, std::uint64_t settled_claim,
                                std::span<const Beat> beats, bool renew, Duration lease) {
  auto& t = *tables_;
  t.limits.locked_something();  // a beat waits for nobody
  free_unnamed(worker, settled_claim, beats);
  std::vector<Lease> leases;
  leases.reserve(beats.size());
  for (const Beat& beat : beats) leases.push_back(beat.lease);
  // A host's transaction that completes a job holds its row for as long as it likes: what
  // all others hang on does not wait for it.
  auto rows = t.rows_of.try_lock_runs(leases);
  std::set<std::pair<long long, long long>> running;
  if (rows.size() < leases.size()) running = running_of(worker, kEveryClaim);
  std::vector<Pulse> pulses;
  pulses.reserve(beats.size());
  std::vector<JobId> renewed;
  std::vector<NotesTable::News> news;
  for (const Beat& beat : beats) {
    const auto found = rows.find(beat.lease.id);
    if (found == rows.end()) {
      const bool runs =
          running.contains({to_column(beat.lease.id), to_column(beat.lease.fence)});
      pulses.push_back(runs ? Pulse::kHeld : Pulse::kStale);
      continue;
    }
    rules::Row& rule = found->second.rule;
    pulses.push_back(rules::beat(rule, beat.lease.fence, renew, lease, now_));
    if (pulses.back() == Pulse::kStale) continue;
    if (renew) {
      t.lease_end = rule.wake_at.time_since_epoch().count();
      renewed.push_back(beat.lease.id);
    }
    news.push_back({beat.lease.id, beat.progress,
                    checkpoint_of(beat.lease.id, beat.checkpoint), beat.log});
  }
  t.notes.add(news);
  if (!renewed.empty()) {
    t.ids = json_array(renewed);
    t.renew.run();
  }
  return pulses;
}

std::set<std::pair<long long, long long>> Writer::running_of(std::string_view worker,
                                                             long long claim_number) {
  auto& t = *tables_;
  t.worker = worker;
  t.claim_number = claim_number;
  std::set<std::pair<long long, long long>> runs;
  t.running.rows([&] { runs.emplace(t.id, t.fence); });
  return runs;
}

void Writer::free_unnamed(std::string_view worker, std::uint64_t settled_claim,
                          std::span<const Beat> beats) {
  if (settled_claim == 0) return;  // claims are numbered from 1
  auto& t = *tables_;
  std::set<std::pair<long long, long long>> named;
  for (const Beat& beat : beats) {
    named.emplace(to_column(beat.lease.id), to_column(beat.lease.fence));
  }
  std::vector<JobId> lost;
  for (const auto& run : running_of(worker, static_cast<long long>(settled_claim))) {
    if (!named.contains(run)) lost.push_back(to_id(run.first));
  }
  if (lost.empty()) return;
  leaves_to_clear_ = true;  // what is final at once: others may hold its names
  for (auto& [id, row] : t.rows_of.try_lock(t.limits.know_free(lost))) {
    // As it is now, under the lock: it may have moved on.
    if (named.contains({to_column(id), to_column(row.rule.fence)})) continue;
    if (rules::release_unnamed(row.rule, worker, settled_claim, options_.retention,
                               now_)) {
      t.limits.not_begun(row);
      moved(row, State::kRunning);
    }
  }
  flush();
  leaves_to_clear_ = false;
}

}  // namespace carrel::sql::server

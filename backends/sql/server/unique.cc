// Unique keys. Whoever enqueues under one locks its row first, and holds it until the
// commit: others of that key wait, and then see what was done. What workers do to the
// key's job goes on meanwhile; an enqueue comes before or after it.
#include <algorithm>
#include <set>

#include "server/writer_tables.h"

namespace carrel::sql::server {

struct Writer::Holder {
  JobId job{};
  Time enqueued{};
  State state{};  // that it ended in, if it is purged
  Ticket ticket;
};

namespace {

constexpr State kNoState = static_cast<State>(kStateCount);

}  // namespace

void Writer::insert_unique(std::span<const NewJob* const> jobs,
                           std::span<Inserted> answers,
                           std::vector<std::optional<JobId>>& ids,
                           std::vector<bool>& done) {
  Places places;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i]->unique && !done[i]) places.push_back(i);
  }
  if (places.empty()) return;
  lock_keys(jobs, places);
  Places met;
  // A key that is there twice is done in its turn: the second meets the first.
  while (!places.empty()) {
    const Holders holders = find_holders(jobs, places, true);
    std::set<std::string> changed;
    Places later;
    Places replacing;
    Places fresh;
    for (const std::size_t i : places) {
      const Unique& unique = *jobs[i]->unique;
      if (changed.contains(unique.key)) {
        later.push_back(i);
        continue;
      }
      const auto found = holders.find(unique.key);
      if (found == holders.end() ||
          !rules::meets(unique, found->second.state, found->second.enqueued, now_)) {
        changed.insert(unique.key);
        fresh.push_back(i);
        continue;
      }
      const Holder& holder = found->second;
      answers[i] = {holder.job, true, false, {}};
      done[i] = true;
      met.push_back(i);
      if (holder.state == State::kAvailable) answers[i].ticket = holder.ticket;
      if (unique.on_conflict == OnConflict::kSkip || is_final(holder.state)) continue;
      changed.insert(unique.key);
      replacing.push_back(i);
    }
    replace(jobs, answers, replacing);
    if (!fresh.empty()) {
      std::vector<bool> others(jobs.size(), true);
      for (const std::size_t i : fresh) others[i] = false;
      insert_rows(jobs, answers, ids, others);
      hold_keys(jobs, answers, fresh);
      for (const std::size_t i : fresh) done[i] = true;
    }
    places = std::move(later);
  }
  forget_requests(answers, ids, met);
}

std::vector<JobId> Writer::replaceable(std::span<const NewJob* const> jobs) {
  Places places;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto& unique = jobs[i]->unique;
    if (unique && unique->on_conflict != OnConflict::kSkip) places.push_back(i);
  }
  std::vector<JobId> ids;
  if (places.empty()) return ids;
  for (const auto& [key, holder] : find_holders(jobs, places, false))
    ids.push_back(holder.job);
  return ids;
}

void Writer::lock_keys(std::span<const NewJob* const> jobs, const Places& places) {
  std::set<std::string> keys;  // everybody locks them in this order
  for (const std::size_t i : places) keys.insert(jobs[i]->unique->key);
  JsonRows rows;
  for (const std::string& key : keys) rows.row().add_bytes("key", key);
  tables_->rows = rows.take();
  tables_->lock_keys.run();
}

Writer::Holders Writer::find_holders(std::span<const NewJob* const> jobs,
                                     const Places& places, bool locked) {
  auto& t = *tables_;
  std::set<std::string> keys;
  for (const std::size_t i : places) keys.insert(jobs[i]->unique->key);
  JsonRows rows;
  for (const std::string& key : keys) rows.row().add_bytes("key", key);
  t.rows = rows.take();
  if (locked && t.find_holders_now) return find_holders_now();
  Holders holders;
  t.find_holders.rows([&] {
    const auto state = to_state(t.state);
    if (state == kNoState) return;
    const JobId job = to_id(t.id);
    holders.emplace(
        from_hex(t.bytes),
        Holder{job, to_time(t.run_at), state,
               Ticket{job, t.queue, t.kind, static_cast<std::int16_t>(t.priority)}});
  });
  if (locked && t.check_holders) check(holders);
  return holders;
}

// In a host's transaction: what it sees is of the past, and must be what there is. The
// rows are not kept locked, or their workers would wait for the host's commit.
void Writer::check(const Holders& holders) {
  if (holders.empty()) return;
  auto& t = *tables_;
  std::vector<JobId> ids;
  for (const auto& [key, holder] : holders) ids.push_back(holder.job);
  t.ids = json_array(ids);
  soci::session& session = connection_.session().soci();
  session << "SAVEPOINT carrel_look";
  t.check_holders.run();
  session << "ROLLBACK TO SAVEPOINT carrel_look";
}

// In a host's transaction whose plain reads are of the past: what their jobs do now is
// asked of their rows, which are locked for that. Each is looked for where it was seen:
// where a row is missing its gap is locked, and all who insert there wait.
Writer::Holders Writer::find_holders_now() {
  auto& t = *tables_;
  Holders holders;
  std::vector<JobId> active;
  std::vector<JobId> ended;
  t.find_holders_now.rows([&] {
    const JobId job = to_id(t.id);
    const auto state = static_cast<State>(t.state);
    holders.emplace(from_hex(t.bytes), Holder{job, to_time(t.run_at), state, {}});
    if (state == kNoState && t.id != 0) (t.number != 0 ? ended : active).push_back(job);
  });
  auto rows = t.rows_of.lock(active);
  rows.merge(t.rows_of.lock_ended(ended));
  for (auto& [key, holder] : holders) {
    const auto row = rows.find(holder.job);
    if (row == rows.end()) continue;
    holder.state = row->second.rule.state;
    holder.ticket = row->second.ticket();
  }
  std::erase_if(holders, [](const auto& one) { return one.second.state == kNoState; });
  return holders;
}

void Writer::replace(std::span<const NewJob* const> jobs, std::span<Inserted> answers,
                     const Places& places) {
  if (places.empty()) return;
  auto& t = *tables_;
  std::vector<JobId> ids;
  for (const std::size_t i : places) ids.push_back(answers[i].id);
  // A key that went to another job since replaceable() looked.
  if (!t.limits.try_know(ids)) throw Conflict{};
  auto found = t.rows_of.lock(ids);
  JsonRows inlined;
  JsonRows beside;
  for (const std::size_t i : places) {
    const NewJob& job = *jobs[i];
    const auto at = found.find(answers[i].id);
    if (at == found.end()) continue;
    StoredRow& row = at->second;
    const State before = row.rule.state;
    const OnConflict how = job.unique->on_conflict;
    answers[i].ticket.reset();
    if (!rules::replace(row.rule, how, now_, job.delay, job.start_within)) continue;
    answers[i].replaced = true;
    if (how == OnConflict::kReplace) row.run_at = now_;  // moved() knows of another
    t.limits.change(row, job);
    moved(row, before);
    if (row.rule.state == State::kAvailable) answers[i].ticket = row.ticket();
    inlined.row().add("id", to_column(row.id));
    if (job.payload.size() <= kInlinePayload) {
      inlined.add_bytes("payload", job.payload);
    } else {
      beside.row().add("job", to_column(row.id)).add_bytes("bytes", job.payload);
    }
  }
  hand_out(flush(), answers);
  if (!inlined.empty()) {
    t.rows = inlined.take();
    t.replace_payloads.run();
  }
  if (!beside.empty()) {
    t.rows = beside.take();
    t.insert_payloads.run();
  }
}

void Writer::hold_keys(std::span<const NewJob* const> jobs,
                       std::span<const Inserted> answers, const Places& places) {
  auto& t = *tables_;
  JsonRows rows;
  for (const std::size_t i : places) {
    const Unique& unique = *jobs[i]->unique;
    rows.row()
        .add_bytes("key", unique.key)
        .add("job", to_column(answers[i].id))
        .add("until", rules::unique_until(unique, now_).time_since_epoch().count());
  }
  t.rows = rows.take();
  t.hold_keys.run();
}

void Writer::forget_requests(std::span<Inserted> answers,
                             std::vector<std::optional<JobId>>& ids,
                             const Places& places) {
  std::map<JobId, std::size_t> reserved;
  for (const std::size_t i : places) {
    if (ids[i]) reserved.emplace(*ids[i], i);
  }
  if (reserved.empty()) return;
  std::vector<JobId> gone;
  for (const auto& [id, place] : reserved) gone.push_back(id);
  tables_->ids = json_array(gone);
  tables_->purge.run();
  for (Inserted& answer : answers) {  // the same request again, in this batch
    const auto first = reserved.find(answer.id);
    if (first != reserved.end()) answer = answers[first->second];
  }
}

}  // namespace carrel::sql::server

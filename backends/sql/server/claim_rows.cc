// How rows are claimed: in one statement, or picked and then marked.
#include <algorithm>
#include <cstdlib>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "server/script.h"
#include "server/writer_tables.h"

namespace carrel::sql::server {
namespace {

// A server may have become one that sends less than it once took.
std::runtime_error unreadable(JobId job) {
  return std::runtime_error(
      "job " + std::to_string(value(job)) +
      ": its payload or checkpoint cannot be read. It may be longer "
      "than MariaDB's max_allowed_packet lets it send, or its row is lost");
}

long long to_number(const char* cell) { return cell != nullptr ? std::atoll(cell) : 0; }

}  // namespace

void Writer::begin_claim(const Claiming& claiming) {
  auto& t = *tables_;
  t.worker = claiming.worker;
  t.claim_number = static_cast<long long>(claiming.number);
  t.lease_end = end_of_lease(claiming.lease, now_).time_since_epoch().count();
  t.beside.clear();
  t.reserved.clear();
}

Claimed Writer::claimed_row() {
  auto& t = *tables_;
  Claimed c;
  c.lease = {to_id(t.id), to_fence(t.fence)};
  c.queue = t.queue;
  c.kind = t.kind;
  if (t.has_bytes == soci::i_ok) {
    c.payload = from_hex(t.bytes);
  } else {
    t.beside.push_back(c.lease.id);
  }
  c.timeout = Duration(t.timeout);
  c.priority = static_cast<std::int16_t>(t.priority);
  c.attempt = static_cast<std::uint16_t>(t.attempt);
  c.max_attempts = static_cast<std::uint16_t>(t.max_attempts);
  c.crashes = static_cast<std::uint16_t>(t.crashes);
  c.granted = asked_;
  if (t.limited != 0) t.reserved.insert(c.lease.id);
  if (t.limits.said_any()) t.run_ats[c.lease.id] = t.run_at;
  return c;
}

template <class Run>
std::vector<Claimed> Writer::best_first(bool whole, Run run) {
  auto& t = *tables_;
  std::vector<std::tuple<int, long long, long long, std::size_t>> order;
  std::vector<Claimed> claimed;
  run([&] {
    order.emplace_back(t.priority, t.run_at, t.id, claimed.size());
    claimed.push_back(claimed_row());
  });
  if (!t.claim_lanes) mark(claimed, whole && last_);
  complete_claim(claimed);
  std::sort(order.begin(), order.end());
  std::vector<Claimed> sorted;
  sorted.reserve(claimed.size());
  for (const auto& place : order) {
    sorted.push_back(std::move(claimed[std::get<3>(place)]));
  }
  return sorted;
}

std::vector<Claimed> Writer::claim_lanes(
    const Claiming& claiming, std::span<const std::pair<Lane, std::size_t>> shares,
    bool whole, bool unless_limited) {
  auto& t = *tables_;
  begin_claim(claiming);
  const auto name = [&](const std::pair<Lane, std::size_t>& share) {
    t.queue = share.first.queue;
    t.kind = share.first.kind;
    t.most = static_cast<long long>(share.second);
  };
  if (t.claim_lane && shares.size() == 1) {
    name(shares[0]);
    auto& statement = unless_limited ? t.claim_lane_unless_limited : t.claim_lane;
    return best_first(whole, [&](const auto& add) { statement.rows(add); });
  }
  if (t.claim_lanes) {
    JsonRows rows;
    for (const auto& [lane, take] : shares) {
      rows.row()
          .add_text("queue", lane.queue)
          .add_text("kind", lane.kind)
          .add("most", static_cast<long long>(take));
    }
    t.rows = rows.take();
    return best_first(whole, [&](const auto& add) { t.claim_lanes.rows(add); });
  }
  return best_first(whole, [&](const auto& add) {
    for (const auto& share : shares) {
      name(share);
      t.pick_lane.rows(add);
    }
  });
}

void Writer::name_demand(const Demand& demand) {
  const auto names = [](std::span<const std::string> list) {
    JsonRows rows;
    for (const std::string& name : list) rows.row().add_text("name", name);
    return rows.take();
  };
  tables_->kinds = names(demand.kinds);
  tables_->queues_asked = names(demand.queues);
}

std::vector<Claimed> Writer::claim_lone(const Claiming& claiming, const Demand& demand,
                                        std::size_t max, std::size_t& lanes,
                                        bool unless_limited) {
  auto& t = *tables_;
  begin_claim(claiming);
  name_demand(demand);
  t.most = static_cast<long long>(max);
  return best_first(true, [&](const auto& add) {
    (unless_limited ? t.claim_lone_unless_limited : t.claim_lone).rows([&] {
      lanes = static_cast<std::size_t>(t.number);
      if (t.id != 0) add();
    });
  });
}

// In two round trips: this, which begins a transaction, and its commit. Where there are
// several lanes, the transaction goes on.
std::vector<Claimed> Writer::pick_lone(const Claiming& claiming, const Demand& demand,
                                       std::size_t most, std::size_t& lanes) {
  const server::Statements& sql = driver_.statements();
  const std::string find = with_values(
      sql.find_lone, {{"kinds", literals(demand.kinds)},
                      {"queues", literals(demand.queues)},
                      {"queues_named", literal(demand.queues.empty() ? 0 : 1)}});
  const std::string pick =
      with_values(sql.pick_lone, {{"most", literal(static_cast<long long>(most))}});
  return best_first(true, [&](const auto& add) {
    begun_ = true;  // or not: then there is nothing to take back
    bool knows = false;
    connection_.session().run_together(
        find + pick, [&](std::size_t, std::span<const char* const> cells) {
          if (!knows) {
            knows = true;
            lanes = static_cast<std::size_t>(to_number(cells[0]));
            start(Time(Duration(to_number(cells[1]))));
            begin_claim(claiming);
            return;
          }
          read_picked(cells);
          add();
        });
    if (!knows) throw std::logic_error("a claim without an answer");
  });
}

// The same of one lane.
std::vector<Claimed> Writer::pick_named(const Claiming& claiming, const Demand& demand,
                                        std::size_t most) {
  const std::string pick = with_values(driver_.statements().pick_named,
                                       {{"queue", literal(demand.queues[0])},
                                        {"kind", literal(demand.kinds[0])},
                                        {"most", literal(static_cast<long long>(most))}});
  return best_first(true, [&](const auto& add) {
    begun_ = true;
    bool first = true;
    connection_.session().run_together(
        pick, [&](std::size_t, std::span<const char* const> cells) {
          if (std::exchange(first, false)) {
            start(Time(Duration(to_number(cells[12]))));
            begin_claim(claiming);
          }
          read_picked(cells);
          add();
        });
  });
}

// Of what pick_lone and pick_named tell.
void Writer::read_picked(std::span<const char* const> cells) {
  auto& t = *tables_;
  t.id = to_number(cells[0]);
  t.fence = to_number(cells[1]);
  t.queue = cells[2];
  t.kind = cells[3];
  t.has_bytes = cells[4] != nullptr ? soci::i_ok : soci::i_null;
  t.bytes = cells[4] != nullptr ? cells[4] : "";
  t.timeout = to_number(cells[5]);
  t.priority = static_cast<int>(to_number(cells[6]));
  t.run_at = to_number(cells[7]);
  t.attempt = static_cast<int>(to_number(cells[8]));
  t.max_attempts = static_cast<int>(to_number(cells[9]));
  t.crashes = static_cast<int>(to_number(cells[10]));
  t.limited = static_cast<int>(to_number(cells[11]));
}

std::vector<Claimed> Writer::claim_ids(const Claiming& claiming, std::vector<JobId> ids,
                                       int state, bool whole) {
  auto& t = *tables_;
  std::vector<Claimed> claimed;
  if (ids.empty()) return claimed;
  begin_claim(claiming);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  t.ids = json_array(ids);
  t.state = state;
  const auto add = [&] { claimed.push_back(claimed_row()); };
  if (t.claim_ids) {
    t.claim_ids.rows(add);
  } else {
    t.pick_ids.rows(add);
    mark(claimed, whole && last_ && claimed.size() == ids.size());
  }
  complete_claim(claimed);
  return claimed;
}

// Makes rows that were picked what they were said to be.
void Writer::mark(const std::vector<Claimed>& picked, bool with_commit) {
  if (picked.empty()) return;
  auto& t = *tables_;
  std::vector<JobId> ids;
  ids.reserve(picked.size());
  for (const Claimed& c : picked) ids.push_back(c.lease.id);
  std::sort(ids.begin(), ids.end());
  if (with_commit && connection_.session().commits_alone()) {
    const server::Statements& sql = driver_.statements();
    const char* const text =
        ids.size() == 1 ? sql.mark_one_and_commit : sql.mark_and_commit;
    with_commit_ = with_values(text, {{"lease_end", literal(t.lease_end)},
                                      {"claim_number", literal(t.claim_number)},
                                      {"worker", literal(t.worker)},
                                      {"now", literal(t.now)},
                                      {"id", literal(to_column(ids[0]))},
                                      {"ids", literals(ids)}});
    return;
  }
  t.ids = json_array(ids);
  t.mark.run();
}

// What most rows do not have: a payload beside the row, a checkpoint.
void Writer::complete_claim(std::vector<Claimed>& claimed) {
  auto& t = *tables_;
  std::unordered_map<JobId, Claimed*> by_id;
  std::vector<JobId> again;
  for (Claimed& c : claimed) {
    by_id.emplace(c.lease.id, &c);
    if (value(c.lease.fence) > 1) again.push_back(c.lease.id);
  }
  std::set<JobId> missing(t.beside.begin(), t.beside.end());
  read_long(t.read_payloads, std::move(t.beside), [&](JobId id, std::string bytes) {
    by_id.at(id)->payload = std::move(bytes);
    missing.erase(id);
  });
  // In its row, where a server that cannot send it says NULL, too: it must not run as if
  // it had none.
  if (!missing.empty()) throw unreadable(*missing.begin());
  read_long(t.read_checkpoints, std::move(again), [&](JobId id, std::string bytes) {
    by_id.at(id)->checkpoint = std::move(bytes);
  });
}

template <class Take>
void Writer::read_long(Statement& read, std::vector<JobId> ids, Take take) {
  auto& t = *tables_;
  constexpr std::size_t kMost = 500;
  std::sort(ids.begin(), ids.end());
  std::span<const JobId> left(ids);
  while (!left.empty()) {
    auto next = left.first(std::min(kMost, left.size()));
    t.ids = json_array(next);
    t.most = static_cast<long long>(kMaxAnswerBytes);
    std::size_t bytes = 0;
    JobId last{};
    read.rows([&] {
      last = to_id(t.id);
      if (t.has_bytes != soci::i_ok) throw unreadable(last);
      std::string content = from_hex(t.bytes);
      bytes += content.size();
      take(last, std::move(content));
    });
    if (bytes >= kMaxAnswerBytes) {  // there may be more of these
      const auto end = std::upper_bound(next.begin(), next.end(), last);
      next = next.first(static_cast<std::size_t>(end - next.begin()));
    }
    left = left.subspan(next.size());
  }
}

}  // namespace carrel::sql::server

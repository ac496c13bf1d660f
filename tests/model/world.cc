#include "world.h"

#include <algorithm>
#include <functional>
#include <string_view>

namespace carrel::model {
namespace {

// Numbers that matter only by their order: a worker that has claimed often is like one
// that has not, and the third run is like the second once nobody remembers the first.
class Ranks {
 public:
  void add(std::uint64_t number) { numbers_[size_++] = number; }
  std::uint64_t of(std::uint64_t number) const {
    std::uint64_t rank = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      const bool first = std::find(numbers_.begin(), numbers_.begin() + i, numbers_[i]) ==
                         numbers_.begin() + i;
      if (first && numbers_[i] < number) ++rank;
    }
    return rank;
  }

 private:
  std::array<std::uint64_t, 16> numbers_{};
  std::size_t size_ = 0;
};

using Place = ClaimMessage::Place;

bool runs_for(const rules::Row& row, std::size_t worker) {
  return row.state == State::kRunning &&
         row.worker.text().starts_with(static_cast<char>('a' + worker));
}

Ranks claim_numbers(const World& world, std::size_t worker) {
  const Worker& w = world.workers[worker];
  Ranks ranks;
  ranks.add(w.number);
  ranks.add(w.settled);
  if (w.claim.place != Place::kNone) ranks.add(w.claim.number);
  if (w.late.place != Place::kNone) ranks.add(w.late.number);
  if (w.beat.sent) ranks.add(w.beat.settled);
  if (runs_for(world.row, worker)) ranks.add(world.row.claim_number);
  return ranks;
}

Ranks run_numbers(const World& world) {
  Ranks ranks;
  ranks.add(0);
  ranks.add(world.runs);
  ranks.add(world.holder);
  for (const Worker& w : world.workers) {
    ranks.add(w.run);
    ranks.add(w.claim.run);
    if (w.beat.sent) ranks.add(w.beat.run);
  }
  return ranks;
}

void put(Key& out, const ClaimMessage& m, const Ranks& claims, const Ranks& runs) {
  out.put(static_cast<std::uint64_t>(m.place));
  if (m.place == Place::kNone) return;
  out.put(m.life);
  out.put(claims.of(m.number));
  out.put(m.fence);
  out.put(runs.of(m.run));
}

void put(Key& out, const World& world, std::size_t worker, const Ranks& runs) {
  const Worker& w = world.workers[worker];
  const Ranks claims = claim_numbers(world, worker);
  const auto known = [&w](std::uint16_t set) { return (set >> w.run) & 1U; };
  out.put(static_cast<std::uint64_t>(w.phase) |
          static_cast<std::uint64_t>(w.verdict) << 2U |
          static_cast<std::uint64_t>(w.told_to_cancel) << 5U |
          known(world.ended_leases) << 6U | known(world.finished) << 7U);
  out.put(w.life);
  out.put(claims.of(w.number));
  out.put(claims.of(w.settled));
  out.put(w.fence);
  out.put(runs.of(w.run));
  put(out, w.claim, claims, runs);
  put(out, w.late, claims, runs);
  out.put(w.beat.sent ? 1 : 0);
  if (w.beat.sent) {
    out.put(w.beat.life);
    out.put(claims.of(w.beat.settled));
    out.put(w.beat.fence);
    out.put(runs.of(w.beat.run));
  }
  if (!runs_for(world.row, worker)) return out.put(0);
  out.put(static_cast<std::uint64_t>(world.row.worker.text()[1]));
  out.put(claims.of(world.row.claim_number));
}

std::uint64_t ticks(Time t) {
  return t == kNever ? 99 : static_cast<std::uint64_t>(t.time_since_epoch() / kTick);
}

Key key_of(const World& world, std::size_t first, std::size_t second) {
  const rules::Row& row = world.row;
  const Ranks runs = run_numbers(world);
  Key out;
  out.put(static_cast<std::uint64_t>(row.state) |
          static_cast<std::uint64_t>(row.cancel_requested) << 4U |
          static_cast<std::uint64_t>(world.cancelled) << 5U);
  out.put(row.attempt);
  out.put(value(row.fence));
  out.put(value(row.finished_fence));
  out.put(is_final(row.state) ? 0 : ticks(row.wake_at));
  out.put(ticks(row.expires_at));
  out.put(world.tickets);
  out.put(world.left.faults);
  out.put(world.left.detours);
  out.put(world.left.cancels);
  out.put(runs.of(world.runs));
  out.put(runs.of(world.holder));
  put(out, world, first, runs);
  put(out, world, second, runs);
  return out;
}

}  // namespace

Key World::key() const {
  // The workers are alike: it does not matter which is which.
  return std::min(key_of(*this, 0, 1), key_of(*this, 1, 0));
}

std::size_t Key::Hash::operator()(const Key& key) const noexcept {
  return std::hash<std::string_view>{}(
      {reinterpret_cast<const char*>(key.bytes_.data()), key.bytes_.size()});
}

World first_world(const Budget& budget, Duration delay, Duration start_within) {
  World world;
  world.row = rules::admit(Time{}, delay, start_within, 2);
  world.tickets = world.row.state == State::kAvailable ? 1 : 0;
  world.left = budget;
  return world;
}

}  // namespace carrel::model

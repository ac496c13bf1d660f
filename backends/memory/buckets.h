// The available rows of a memory store, by queue, kind and priority.
//
// Not thread-safe.
#pragma once

#include <carrel/demand.h>
#include <carrel/queue.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "row.h"
#include "row_order.h"

namespace carrel::memory {

// A queue of which only so many jobs may run at once.
struct QueueLimit {
  std::size_t most = 0;
  std::size_t running = 0;  // a cache of the rows, as Bucket's counts
  std::size_t known = 0;    // `running`, when those who wait were last told

  bool full() const { return running >= most; }
  std::size_t room() const { return full() ? 0 : most - running; }
};

// All rows of one queue, kind and priority. Lives while a row does, and a while longer.
struct Bucket {
  static constexpr std::size_t kInactive = static_cast<std::size_t>(-1);

  std::string queue;
  std::string kind;
  std::int16_t priority = 0;
  bool paused = false;          // its queue is
  QueueLimit* limit = nullptr;  // its queue's; null: none
  // Rows by state: a cache of the rows, changed with them under the store's lock.
  std::array<std::uint64_t, kStateCount> rows{};
  std::size_t live = 0;            // all rows, in whatever state
  std::size_t fresh = 0;           // became available in this call: waiters may want them
  RowOrder<ByAge> ready;           // the available ones
  std::size_t active = kInactive;  // where Buckets lists it, while `ready` has rows

  std::uint64_t count_of(State s) const { return rows[static_cast<std::size_t>(s)]; }
  std::uint64_t& count(State s) { return rows[static_cast<std::size_t>(s)]; }
};

class Buckets {
 public:
  // `queue_limits`: how many jobs of a queue may run at once.
  explicit Buckets(const std::map<std::string, std::uint32_t>& queue_limits);
  Buckets(const Buckets&) = delete;
  Buckets& operator=(const Buckets&) = delete;

  // Stays valid while it has live rows.
  Bucket& get(const std::string& queue, const std::string& kind, std::int16_t priority);

  void add_ready(Row& row);
  void remove_ready(Row& row);

  void set_paused(const std::string& queue, bool paused);
  const std::set<std::string, std::less<>>& paused() const { return paused_; }

  std::map<std::string, QueueLimit, std::less<>>& limits() { return limits_; }
  // Those of `queue` that have available rows.
  template <class F>
  void for_each_active(const std::string& queue, F f) const {
    for (const Bucket* bucket : active_) {
      if (bucket->queue == queue) f(*bucket);
    }
  }

  template <class F>
  void for_each(F f) const {
    for (const auto& [key, bucket] : buckets_) f(*bucket);
  }

  // Which buckets: of these queues (empty: all) and kinds (none: all). `in_order`: as
  // Demand's. How many of a queue: as its limit and `bounds` say.
  struct Wanted {
    explicit Wanted(const Demand& demand)
        : queues(demand.queues),
          kinds(demand.kinds),
          in_order(demand.in_order),
          bounds(demand.bounds) {}
    explicit Wanted(std::span<const std::string> of) : queues(of) {}

    std::span<const std::string> queues;
    std::optional<std::span<const std::string>> kinds;
    bool in_order = false;
    std::span<const QueueBound> bounds;
  };
  // Calls f for rows that may be claimed at `now`, best first (in the order of the queues
  // if there is one, priority, then age), until it has said true `max` times. f may take
  // the row it is given out of its bucket.
  template <class F>
  void best(const Wanted& wanted, std::size_t max, Time now, F f) {
    gather(wanted);
    while (max > 0) {
      const Next found = next();
      if (found.row == nullptr) return;
      if (found.row->rule.expires_at <= now) continue;  // the sweep will discard it
      if (!f(*found.row)) continue;
      --max;
      if (found.room != nullptr) --*found.room;
    }
  }

 private:
  struct Key {
    std::string_view queue;
    std::string_view kind;
    std::int16_t priority;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct Head {
    Bucket* bucket;
    RowOrder<ByAge>::Cursor cursor;
    std::size_t rank;
    std::size_t* room;  // of its queue; null: any
  };
  struct Next {
    Row* row = nullptr;  // null: there is none
    std::size_t* room = nullptr;
  };
  void drop_empty();
  void gather(const Wanted& wanted);
  Next next();
  static bool later(const Head& a, const Head& b);

  // The keys' views are of their bucket's own strings.
  std::unordered_map<Key, std::unique_ptr<Bucket>, Hash> buckets_;
  std::vector<Bucket*> active_;
  std::set<std::string, std::less<>> paused_;
  std::map<std::string, QueueLimit, std::less<>> limits_;
  Bucket* last_ = nullptr;    // the last one got: batches are mostly of one kind
  std::size_t drop_at_ = 64;  // how many buckets are worth a look for empty ones
  std::vector<Head> heads_;   // of best(): a heap, kept for its memory
  QueueRooms rooms_;          // of best()
};

}  // namespace carrel::memory

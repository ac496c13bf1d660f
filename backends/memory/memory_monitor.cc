#include <algorithm>

#include "access.h"
#include "memory_store.h"
#include "row_view.h"

namespace carrel::memory {
namespace {

bool matches(const Filter& filter, const Row& row, Time now) {
  const Bucket& bucket = *row.bucket;
  if (!filter.queue.empty() && bucket.queue != filter.queue) return false;
  if (!filter.kind.empty() && bucket.kind != filter.kind) return false;
  if (filter.older_than > Duration::zero() && now - row.enqueued < filter.older_than) {
    return false;
  }
  return filter.states.empty() || std::find(filter.states.begin(), filter.states.end(),
                                            row.rule.state) != filter.states.end();
}

}  // namespace

Result<JobRecord> MemoryStore::job(JobId id) {
  Access access(*this);
  const Row* row = jobs_.find(id);
  if (row == nullptr) {
    return fail(Code::kNotFound, "no job " + std::to_string(value(id)), "memory");
  }
  return record_of(*row);
}

Result<std::vector<JobRecord>> MemoryStore::list(const Filter& filter, JobId before,
                                                 std::size_t limit) {
  std::vector<const Row*> rows;
  Access access(*this);
  jobs_.rows().for_each([&](const Row& row) {
    if (before != JobId{} && row.id >= before) return;
    if (matches(filter, row, access.now())) rows.push_back(&row);
  });
  const std::size_t count = std::min(limit, rows.size());
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count),
                    rows.end(), [](const Row* a, const Row* b) { return a->id > b->id; });
  std::vector<JobRecord> records;
  records.reserve(count);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < count && bytes < kMaxListBytes; ++i) {
    bytes += listed_bytes(records.emplace_back(record_of(*rows[i])));
  }
  return records;
}

Result<Counts> MemoryStore::counts() {
  Counts counts;
  Access access(*this);
  jobs_.buckets().for_each([&](const Bucket& bucket) {
    if (bucket.live == 0) return;
    auto& of_queue = counts.by_queue[bucket.queue];
    for (std::size_t s = 0; s < kStateCount; ++s) {
      of_queue[s] += bucket.rows[s];
      counts.total[s] += bucket.rows[s];
    }
    const Row* oldest = bucket.ready.front();
    if (oldest == nullptr) return;
    counts.available_by_kind[bucket.kind] += bucket.count_of(State::kAvailable);
    const Duration waited = std::max(Duration::zero(), access.now() - oldest->run_at);
    counts.oldest_available = std::max(waited, counts.oldest_available.value_or(waited));
  });
  return counts;
}

Result<std::vector<std::string>> MemoryStore::paused() {
  Access access(*this);
  const auto& names = jobs_.buckets().paused();
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace carrel::memory

#include "reader.h"

#include <algorithm>
#include <unordered_set>

#include "error.h"
#include "rows.h"
#include "statements.h"

namespace carrel::sql::sqlite {

using soci::into;
using soci::use;

Reader::Reader(const Settings& settings, BackendOptions options,
               std::unique_ptr<Session> session)
    : path_(settings.path),
      options_(std::move(options)),
      session_(std::move(session)),
      lanes_(session_->soci()),
      queues_(session_->soci(), options_.queue_limits),
      not_final_(session_->soci(), statements::kNotFinal, use(ids_, "ids"), into(id_)),
      next_wake_(session_->soci(), statements::kNextWake, use(state_, "state"),
                 into(wake_at_)),
      next_unique_(session_->soci(), statements::kNextUnique, into(wake_at_)),
      next_rate_(session_->soci(), statements::kNextRate, into(wake_at_)) {}

template <class Read>
auto Reader::read(Read read) -> Result<decltype(read())> {
  const std::lock_guard lock(mutex_);
  try {
    return read();
  } catch (...) {
    return tl::unexpected(current_error(path_));
  }
}

Result<std::vector<Ticket>> Reader::peek(const Demand& demand) {
  return read([&] {
    QueueRooms rooms(demand);
    if (queues_.any()) queues_.narrow(rooms, demand);
    return lanes_.best(demand, std::move(rooms), options_.clock->now()).tickets;
  });
}

Result<std::vector<JobId>> Reader::ended(std::span<const JobId> ids) {
  return read([&] {
    std::unordered_set<JobId> open;
    ids_ = json_array(ids);
    not_final_.rows([&] { open.insert(JobId{static_cast<std::uint64_t>(id_)}); });
    std::vector<JobId> ended;
    for (const JobId id : ids) {
      if (!open.contains(id)) ended.push_back(id);
    }
    return ended;
  });
}

Result<Duration> Reader::next_due() {
  return read([&] {
    const Time now = options_.clock->now();
    Duration next = Duration::max();
    for (std::size_t n = 0; n < kStateCount; ++n) {
      state_ = static_cast<int>(n);
      if (!next_wake_.run() || to_time(wake_at_) == kNever) continue;
      next = std::min(next, std::max(to_time(wake_at_) - now, Duration::zero()));
    }
    for (Statement* other : {&next_unique_, &next_rate_}) {
      if (!other->run()) continue;
      next = std::min(next, std::max(to_time(wake_at_) - now, Duration::zero()));
    }
    return next;
  });
}

}  // namespace carrel::sql::sqlite

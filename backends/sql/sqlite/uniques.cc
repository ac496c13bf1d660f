#include "uniques.h"

#include <algorithm>

#include "statements.h"

namespace carrel::sql::sqlite {

using soci::into;
using soci::use;

Uniques::Uniques(soci::session& session)
    : find_(session, statements::kFindUnique, use(key_, "key"), into(job_),
            into(enqueued_at_), into(state_, has_state_), into(gone_)),
      hold_(session, statements::kHoldUnique, use(key_, "key"), use(job_, "job"),
            use(enqueued_at_, "enqueued_at"), use(until_, "until")),
      leave_(session, statements::kLeaveUnique, use(ids_, "ids"), use(now_, "now")),
      delete_(session, statements::kDeleteUnique, use(ids_, "ids"), use(now_, "now")),
      forget_(session, statements::kForgetUnique, use(now_, "now"), use(most_, "most")),
      next_(session, statements::kNextUnique, into(until_)) {}

std::optional<Uniques::Holder> Uniques::meet(const Unique& unique, Time now) {
  key_ = unique.key;
  if (!find_.run() || has_state_ == soci::i_null) return std::nullopt;
  const auto state = static_cast<State>(state_);
  if (!rules::meets(unique, state, to_time(enqueued_at_), now)) return std::nullopt;
  return Holder{to_id(job_), state, gone_ != 0};
}

void Uniques::hold(const Unique& unique, JobId job, Time now) {
  key_ = unique.key;
  job_ = to_column(job);
  enqueued_at_ = now.time_since_epoch().count();
  until_ = rules::unique_until(unique, now).time_since_epoch().count();
  hold_.run();
}

void Uniques::purging(const std::string& ids, Time now) {
  ids_ = ids;
  now_ = now.time_since_epoch().count();
  leave_.run();
  delete_.run();
}

void Uniques::forget(Time now, std::size_t most) {
  now_ = now.time_since_epoch().count();
  most_ = static_cast<long long>(std::min<std::size_t>(most, 1U << 20));
  if (most_ > 0) forget_.run();
}

Time Uniques::next() { return next_.run() ? to_time(until_) : kNever; }

}  // namespace carrel::sql::sqlite

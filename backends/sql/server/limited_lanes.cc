#include "server/limited_lanes.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "server/lanes.h"

namespace carrel::sql::server {
namespace {

constexpr char kBetween = '\x1f';  // a name has no control characters

}  // namespace

using soci::into;
using soci::use;

std::string LimitedLane::text() const {
  std::string text = queue;
  text += kBetween;
  text += kind;
  text += kBetween;
  return text += std::to_string(priority);
}

LimitedLane LimitedLane::of(std::string_view text) {
  const std::size_t first = text.find(kBetween);
  const std::size_t last = text.rfind(kBetween);
  LimitedLane lane;
  if (first == last ||
      std::from_chars(text.data() + last + 1, text.data() + text.size(), lane.priority)
              .ec != std::errc{}) {
    throw std::runtime_error("carrel_limits has a lane that is none");
  }
  lane.queue = text.substr(0, first);
  lane.kind = text.substr(first + 1, last - first - 1);
  return lane;
}

LimitedLanes::LimitedLanes(Session& session, const char* find, const char* best)
    : find_(session, find, into(lane_)),
      best_(session, best, use(lane_, "lane"), use(now_, "now"), use(most_, "most"),
            into(id_), into(run_at_), into(limit_key_), into(rate_key_)) {}

std::vector<LimitedLane> LimitedLanes::find(const Demand* demand) {
  std::vector<LimitedLane> lanes;
  find_.rows([&] {
    LimitedLane lane = LimitedLane::of(lane_);
    if (demand == nullptr || names(*demand, lane.queue, lane.kind)) {
      lanes.push_back(std::move(lane));
    }
  });
  return lanes;
}

std::vector<LimitedLanes::Candidate> LimitedLanes::candidates(
    const std::vector<LimitedLane>& lanes, std::size_t most, Time at) {
  std::vector<Candidate> found;
  now_ = at.time_since_epoch().count();
  most_ = static_cast<long long>(most);
  for (const LimitedLane& lane : lanes) {
    lane_ = lane.text();
    best_.rows([&] { found.push_back({lane, run_at_, id_, limit_key_, rate_key_}); });
  }
  return found;
}

}  // namespace carrel::sql::server

#include "repeats.h"

#include <utility>

namespace carrel::zmq {

const Repeats::Known* Repeats::find(const std::string& client, std::uint64_t id) const {
  const auto it = by_name_.find(Name(client, id));
  return it == by_name_.end() ? nullptr : &*it->second;
}

void Repeats::begin(const CallPtr& call) {
  const auto entry = under_way_.emplace(under_way_.end());
  entry->under_way = call;
  entry->client = call->session->client;
  entry->id = call->id;
  by_name_.emplace(Name(entry->client, entry->id), entry);
}

void Repeats::answered(const Call& call, std::string_view answer, Clock::time_point now) {
  const auto it = by_name_.find(Name(call.session->client, call.id));
  if (it == by_name_.end() || !it->second->under_way) return;
  const auto entry = it->second;
  answered_.splice(answered_.end(), under_way_, entry);
  entry->under_way.reset();
  entry->answer = answer;
  entry->since = now;
  bytes_ += bytes_of(*entry);
  while (bytes_ > max_bytes_) forget_oldest();
}

void Repeats::read(const std::string& client, std::uint64_t id) {
  const auto it = by_name_.find(Name(client, id));
  if (it == by_name_.end() || it->second->under_way) return;
  const auto entry = it->second;
  bytes_ -= bytes_of(*entry);
  by_name_.erase(it);
  answered_.erase(entry);
}

void Repeats::forget_old(Clock::time_point now) {
  while (!answered_.empty() && now - answered_.front().since >= kAge) forget_oldest();
}

void Repeats::forget_oldest() {
  const Entry& oldest = answered_.front();
  bytes_ -= bytes_of(oldest);
  by_name_.erase(Name(oldest.client, oldest.id));
  answered_.pop_front();
}

}  // namespace carrel::zmq

#include "parking.h"

#include <carrel/demand.h>

#include <algorithm>

namespace carrel::zmq {
namespace {

const Demanded& demanded(const Call& call) {
  if (const auto* m = std::get_if<Take>(&call.request)) return *m;
  return std::get<ReceiveAsk>(call.request);
}

}  // namespace

bool Parking::Names::want(const std::string& queue, const std::string& kind) const {
  const auto has = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return (queues.empty() || has(queues, queue)) && has(kinds, kind) &&
         !has(without, queue);
}

Parking::Names Parking::names_of(const Call& call) {
  const Demanded& m = demanded(call);
  Names names{m.queues, m.kinds, {}};
  for (const QueueBound& bound : m.bounds) {
    if (bound.most == 0) names.without.push_back(bound.queue);
  }
  return names;
}

void Parking::park(const CallPtr& call) {
  const auto line = lines_.try_emplace(names_of(*call)).first;
  line->second.push_back(call);
  places_[call.get()] = {line, std::prev(line->second.end())};
  call->waiting = true;
}

bool Parking::remove(const CallPtr& call) {
  const auto it = places_.find(call.get());
  if (it == places_.end()) return false;
  const auto [line, at] = it->second;
  line->second.erase(at);
  if (line->second.empty()) lines_.erase(line);
  places_.erase(it);
  call->waiting = false;
  return true;
}

CallPtr Parking::take_front(std::map<Names, Line>::iterator line) {
  CallPtr call = line->second.front();
  remove(call);
  return call;
}

std::vector<CallPtr> Parking::call_for(std::span<const Ticket> tickets) {
  std::vector<CallPtr> called;
  if (places_.empty()) return called;
  std::map<std::pair<std::string, std::string>, std::size_t> counts;
  for (const Ticket& ticket : tickets) ++counts[{ticket.queue, ticket.kind}];
  for (auto& [name, count] : counts) {
    for (auto line = lines_.begin(); line != lines_.end() && count > 0;) {
      const auto here = line++;
      if (!here->first.want(name.first, name.second)) continue;
      std::size_t left = here->second.size();
      while (left-- > 0 && count > 0) {
        called.push_back(take_front(here));
        const Demand demand = demanded(*called.back()).demand();
        count -= std::min(count, most_of(demand, name.first));
      }
    }
  }
  return called;
}

std::vector<CallPtr> Parking::call_first() {
  std::vector<CallPtr> called;
  for (auto line = lines_.begin(); line != lines_.end();) {
    called.push_back(take_front(line++));
  }
  return called;
}

std::vector<CallPtr> Parking::call_all() {
  std::vector<CallPtr> called;
  while (!lines_.empty()) called.push_back(take_front(lines_.begin()));
  return called;
}

}  // namespace carrel::zmq

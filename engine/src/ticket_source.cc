#include "ticket_source.h"

#include <algorithm>

namespace carrel {
namespace {
// Enough for a fast worker not to peek for every claim, few enough to stay cheap.
constexpr std::size_t kPeek = 512;
}  // namespace

Result<TicketSource::Clock::time_point> TicketSource::top_up(const Demand& demand,
                                                             Line& line) {
  const auto now = Clock::now();
  if (queue_.backlog(demand) >= demand.max) return now + poll_;
  if (!line.more && now < line.next_peek) return line.next_peek;
  Demand wide = demand;
  wide.max = std::max(kPeek, 4 * demand.max);
  auto tickets = store_.peek(wide);
  if (!tickets) return tl::unexpected<Error>(std::move(tickets.error()));
  line.more = tickets->size() >= wide.max;
  line.next_peek = now + poll_;
  queue_.publish(*tickets);
  return line.next_peek;
}

// How many of a queue may run now does not matter here: soon it may be more.
Result<TicketSource::Clock::time_point> TicketSource::top_up(const Demand& demand) {
  if (!demand.in_order && demand.bounds.empty()) return top_up(demand, all_);
  auto next = Clock::time_point::max();
  const auto look = [&](const Demand& part, Line& line) -> Result<void> {
    const auto at = top_up(part, line);
    if (!at) return tl::unexpected<Error>(at.error());
    next = std::min(next, *at);
    return {};
  };
  std::vector<QueueBound> others;  // none of those that have lines of their own
  const auto look_at = [&](const std::string& queue) {
    others.push_back({queue, 0});
    return look({{&queue, 1}, demand.kinds, demand.max}, lines_[queue]);
  };
  for (const std::string& queue : demand.queues) {
    if (auto ok = look_at(queue); !ok) return tl::unexpected<Error>(ok.error());
  }
  if (!demand.queues.empty()) return next;
  for (const QueueBound& bound : demand.bounds) {
    if (auto ok = look_at(bound.queue); !ok) return tl::unexpected<Error>(ok.error());
  }
  const Demand rest{{}, demand.kinds, demand.max, false, others};
  if (auto ok = look(rest, all_); !ok) return tl::unexpected<Error>(ok.error());
  return next;
}

Result<std::vector<Claimed>> TicketSource::claim(const Demand& demand,
                                                 std::string_view worker,
                                                 std::uint64_t claim_number,
                                                 Duration lease, Duration wait) {
  const auto until = Clock::now() + wait;
  std::vector<Claimed> claimed;
  std::vector<Ticket> tickets;
  std::vector<std::uint64_t> receipts;
  do {
    const auto next_peek = top_up(demand);
    if (!next_peek) return tl::unexpected<Error>(next_peek.error());
    const auto now = Clock::now();
    const auto left = std::min(until, std::max(*next_peek, now)) - now;
    auto deliveries = queue_.receive(
        demand, std::max(Duration{0}, std::chrono::duration_cast<Duration>(left)));
    if (!deliveries) return tl::unexpected<Error>(std::move(deliveries.error()));
    if (deliveries->empty()) continue;
    tickets.clear();
    receipts.clear();
    for (auto& delivery : *deliveries) {
      tickets.push_back(std::move(delivery.ticket));
      receipts.push_back(delivery.receipt);
    }
    auto answers = store_.claim(tickets, worker, claim_number, lease);
    queue_.settle(receipts);
    if (!answers) {
      all_.more = true;  // the tickets are gone: look again at once
      for (auto& [queue, line] : lines_) line.more = true;
      return tl::unexpected<Error>(std::move(answers.error()));
    }
    for (auto& answer : *answers) {
      if (!answer) continue;
      // A ticket may come from another store: its number is that of any job here. What is
      // not told of the claim is free again after the next beat.
      const auto& kinds = demand.kinds;
      if (std::find(kinds.begin(), kinds.end(), answer->kind) == kinds.end()) continue;
      claimed.push_back(std::move(*answer));
    }
  } while (claimed.empty() && !nudged_.load() && !interrupted_.load() &&
           Clock::now() < until);
  nudged_ = false;
  return claimed;
}

void TicketSource::nudge() noexcept {
  nudged_ = true;
  if (nudge_ != nullptr) nudge_->nudge();
}

void TicketSource::interrupt() noexcept {
  interrupted_ = true;
  queue_.interrupt();
}

}  // namespace carrel

#include "ticket_source.h"

#include <algorithm>

namespace carrel {
namespace {
// Enough for a fast worker not to peek for every claim, few enough to stay cheap.
constexpr std::size_t kPeek = 512;
}  // namespace

Result<void> TicketSource::top_up(const Demand& demand) {
  const auto now = Clock::now();
  if (queue_.backlog(demand) >= demand.max || (!more_ && now < next_peek_)) return {};
  Demand wide = demand;
  wide.max = std::max(kPeek, 4 * demand.max);
  auto tickets = store_.peek(wide);
  if (!tickets) return tl::unexpected<Error>(std::move(tickets.error()));
  more_ = tickets->size() >= wide.max;
  next_peek_ = now + poll_;
  queue_.publish(*tickets);
  return {};
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
    if (auto ok = top_up(demand); !ok)
      return tl::unexpected<Error>(std::move(ok.error()));
    const auto now = Clock::now();
    const auto left = std::min(until, std::max(next_peek_, now)) - now;
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
      more_ = true;  // the tickets are gone: look again at once
      return tl::unexpected<Error>(std::move(answers.error()));
    }
    for (auto& answer : *answers) {
      if (answer) claimed.push_back(std::move(*answer));
    }
  } while (claimed.empty() && !interrupted_.load() && Clock::now() < until);
  return claimed;
}

void TicketSource::interrupt() noexcept {
  interrupted_ = true;
  queue_.interrupt();
}

}  // namespace carrel

#include "ticket_source.h"

#include <carrel/clock.h>
#include <carrel/demand.h>

#include <algorithm>

namespace carrel {
namespace {
// Enough for a fast worker not to peek for every claim, few enough to stay cheap.
constexpr std::size_t kPeek = 512;
}  // namespace

Result<TicketSource::Clock::time_point> TicketSource::top_up(const Demand& demand,
                                                             Line& line) {
  const auto now = Clock::now();
  const std::size_t waiting = line.left.size() + (away_ ? 0 : queue_.backlog(demand));
  if (waiting >= demand.max) return now + poll_;
  if (!line.more && now < line.next_peek) return line.next_peek;
  Demand wide = demand;
  wide.max = std::max(kPeek, 4 * demand.max);
  auto tickets = store_.peek(wide);
  if (!tickets) return tl::unexpected<Error>(std::move(tickets.error()));
  line.more = tickets->size() >= wide.max;
  line.next_peek = now + poll_;
  const std::size_t taken =
      std::exchange(line.direct, false) || away_ ? 0 : queue_.publish(*tickets);
  line.published = taken > 0;
  tickets->erase(tickets->begin(), tickets->begin() + static_cast<std::ptrdiff_t>(taken));
  line.left = std::move(*tickets);
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

template <class Do>
void TicketSource::each_line(Do act) {
  act(all_);
  for (auto& [queue, line] : lines_) act(line);
}

// That may be taken now.
bool TicketSource::has_left(const Demand& demand) {
  bool any = false;
  each_line([&](const Line& line) {
    any = any || std::any_of(line.left.begin(), line.left.end(), [&](const Ticket& t) {
            return most_of(demand, t.queue) > 0;
          });
  });
  return any;
}

std::vector<Ticket> TicketSource::receive(const Demand& demand, Clock::time_point until,
                                          bool left) {
  std::vector<Ticket> tickets;
  receipts_.clear();
  const auto now = Clock::now();
  const auto ask_again = asked_ + (left ? ask_away_ : poll_);
  if (away_ && now < ask_again) {
    if (!left) rest(std::min(until, ask_again));
    return tickets;
  }
  const auto wait = std::chrono::duration_cast<Duration>(until - now);
  auto deliveries =
      queue_.receive(demand, left ? Duration{0} : std::max(wait, Duration{0}));
  if (!deliveries) {
    asked_ = Clock::now();
    if (!std::exchange(away_, true)) {
      log_(LogLevel::kError, "the queue is away, jobs are looked for in the store: " +
                                 deliveries.error().message);
    }
    return tickets;
  }
  if (std::exchange(away_, false)) log_(LogLevel::kInfo, "the queue answers again");
  for (auto& delivery : *deliveries) {
    tickets.push_back(std::move(delivery.ticket));
    receipts_.push_back(delivery.receipt);
  }
  return tickets;
}

void TicketSource::rest(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  woken_.wait_until(lock, until, [&] { return woken(); });
}

// The queue took tickets and has none: others may have got them, or nobody did. What is
// in the store still does not go through the queue once more.
void TicketSource::on_nothing() {
  each_line([](Line& line) {
    if (!std::exchange(line.published, false)) return;
    line.direct = true;
    line.next_peek = Clock::time_point::min();
  });
}

void TicketSource::add_left(const Demand& demand, std::vector<Ticket>& tickets) {
  QueueRooms rooms(demand);
  for (const Ticket& ticket : tickets) rooms.take(ticket.queue, 1);
  const auto from = [&](Line& line) {
    std::erase_if(line.left, [&](const Ticket& ticket) {
      if (tickets.size() >= demand.max || rooms.take(ticket.queue, 1) == 0) return false;
      const auto same = [&](const Ticket& other) { return other.id == ticket.id; };
      if (std::none_of(tickets.begin(), tickets.end(), same)) tickets.push_back(ticket);
      return true;
    });
  };
  for (const std::string& queue : demand.queues) {
    if (const auto line = lines_.find(queue); line != lines_.end()) from(line->second);
  }
  each_line(from);
}

Result<std::vector<Claimed>> TicketSource::claim(const Demand& demand,
                                                 std::string_view worker,
                                                 std::uint64_t claim_number,
                                                 Duration lease, Duration wait) {
  const auto until = Clock::now() + wait;
  std::vector<Claimed> claimed;
  do {
    const auto next_peek = top_up(demand);
    if (!next_peek) return tl::unexpected<Error>(next_peek.error());
    const bool left = has_left(demand);
    auto tickets = receive(demand, std::min(until, *next_peek), left);
    if (left) add_left(demand, tickets);
    if (tickets.empty()) {
      if (!woken()) on_nothing();
      continue;
    }
    const Duration asked = boot_time();
    auto answers = store_.claim(tickets, worker, claim_number, lease);
    queue_.settle(receipts_);
    if (!answers) {
      each_line([](Line& line) { line.more = true; });  // they are gone: look at once
      return tl::unexpected<Error>(std::move(answers.error()));
    }
    for (auto& answer : *answers) {
      if (!answer) continue;
      // A ticket may come from another store: its number is that of any job here. What is
      // not told of the claim is free again after the next beat.
      const auto& kinds = demand.kinds;
      if (std::find(kinds.begin(), kinds.end(), answer->kind) == kinds.end()) continue;
      answer->granted = asked;
      claimed.push_back(std::move(*answer));
    }
  } while (claimed.empty() && !woken() && Clock::now() < until);
  nudged_ = false;
  return claimed;
}

void TicketSource::nudge() noexcept {
  nudged_ = true;
  if (nudge_ != nullptr) nudge_->nudge();
  wake();
}

void TicketSource::interrupt() noexcept {
  interrupted_ = true;
  queue_.interrupt();
  wake();
}

void TicketSource::wake() noexcept {
  { const std::lock_guard lock(mutex_); }  // nobody is between its look and its wait
  woken_.notify_all();
}

}  // namespace carrel

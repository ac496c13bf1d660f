#include "remote_queue.h"

#include <algorithm>

#include "pieces.h"

namespace carrel::zmq {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kOnTheWay = 10'000;
constexpr Duration kPatience = std::chrono::seconds(2);
// A worker that waits for tickets does not look into the store meanwhile: a ticket that
// comes later than this is worth less than the look.
constexpr Duration kAnswers = std::chrono::seconds(1);
// How long a queue that was full is not asked again.
constexpr Duration kFullPause = std::chrono::milliseconds(100);
constexpr std::size_t kDemands = 64;

std::int64_t now_us() {
  return std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()).count();
}

}  // namespace

RemoteQueue::~RemoteQueue() {
  closing_ = true;
  const std::string endpoint = client_->address().endpoint;
  client_.reset();
  if (undelivered_ == 0) return;
  log_(LogLevel::kWarn, std::to_string(undelivered_) + " tickets for " + endpoint +
                            " were not delivered before the end: their jobs are found by "
                            "the next look into the store");
}

QueueTraits RemoteQueue::traits() const noexcept {
  const Welcome broker = client_->welcome();
  return {.reach = client_->address().reach,
          .durable = false,
          .prioritised = broker.prioritised,
          .max_batch = broker.max_batch};
}

std::size_t RemoteQueue::publish(std::span<const Ticket> tickets) noexcept {
  const Welcome broker = client_->welcome();
  if (now_us() < full_until_.load() || !client_->connected()) return 0;
  const std::size_t room = kOnTheWay - std::min(kOnTheWay, on_the_way_.load());
  tickets = tickets.first(std::min(room, tickets.size()));
  bool refused = false;
  std::size_t taken = 0;
  in_pieces(
      tickets, Room{broker.max_frame / 2, broker.max_batch, 0},
      [&](std::span<const Ticket> piece) {
        if (refused) return;
        PublishOf<std::span<const Ticket>> publish;
        publish.tickets = piece;
        const std::size_t n = piece.size();
        on_the_way_ += n;
        taken += n;
        client_->send(encode(publish), kPatience, Repeat::kYes,
                      [this, n](Result<std::string> frame) {
                        on_the_way_ -= n;
                        if (!frame && closing_) undelivered_ += n;
                        Publish::Answer answer;
                        if (frame && head_of(*frame)->type == Publish::Answer::kType &&
                            decode(body_of(*frame), answer) && answer.value < n) {
                          on_refused();
                        }
                      });
      },
      [&](const Ticket& /*too_large*/) { refused = true; });
  return taken;
}

void RemoteQueue::on_refused() {
  full_until_ = now_us() + kFullPause.count();
  const std::lock_guard lock(mutex_);
  for (Interrupter* receive : waiting_) client_->interrupt(*receive);
}

RemoteQueue::DemandKey RemoteQueue::key_of(const Demand& demand) {
  DemandKey key{{demand.queues.begin(), demand.queues.end()},
                {demand.kinds.begin(), demand.kinds.end()},
                {}};
  // The same queues in another order have as many tickets.
  if (demand.in_order) std::sort(key.queues.begin(), key.queues.end());
  for (const QueueBound& bound : demand.bounds) {
    key.bounds.emplace_back(bound.queue, bound.most);
  }
  return key;
}

Result<std::vector<Queue::Delivery>> RemoteQueue::receive(const Demand& demand,
                                                          Duration wait) {
  if (demand.max == 0 || demand.kinds.empty()) return std::vector<Delivery>{};
  if (auto ok = client_->connected(); !ok) {
    return tl::unexpected<Error>(std::move(ok.error()));
  }
  Interrupter interrupter;
  {
    const std::lock_guard lock(mutex_);
    if (interrupted_) return std::vector<Delivery>{};
    if (nudged_) wait = Duration{0};
    waiting_.insert(&interrupter);
  }
  auto answer = receive(demand, wait, interrupter);
  const std::lock_guard lock(mutex_);
  waiting_.erase(&interrupter);
  nudged_ = false;
  if (!answer) backlogs_.clear();  // what waits there now is not known
  return answer;
}

Result<std::vector<Queue::Delivery>> RemoteQueue::receive(const Demand& demand,
                                                          Duration wait,
                                                          Interrupter& interrupter) {
  ReceiveAsk receive;
  receive.set(demand, client_->welcome().max_batch);
  const auto until =
      Clock::now() + std::clamp<Duration>(wait, Duration{0}, std::chrono::hours(8760));
  for (;;) {
    const auto left = std::chrono::ceil<Duration>(until - Clock::now());
    if (interrupter.on()) return std::vector<Delivery>{};
    receive.wait = std::clamp(left, Duration{0}, kSlice);
    auto answer =
        client_->ask(receive, Repeat::kYes, receive.wait, &interrupter, kAnswers);
    if (!answer && answer.error().code == Code::kCancelled) {
      return std::vector<Delivery>{};
    }
    {
      const std::lock_guard lock(mutex_);
      if (!answer) {
        if (!interrupted_) silent_ = answer.error();
        return tl::unexpected<Error>(std::move(answer.error()));
      }
      silent_.reset();
      DemandKey key = key_of(demand);
      if (backlogs_.size() >= kDemands && !backlogs_.contains(key)) backlogs_.clear();
      backlogs_[std::move(key)] = answer->value.backlog;
    }
    if (!answer->value.deliveries.empty() || left <= kSlice) {
      return std::move(answer->value.deliveries);
    }
  }
}

Result<void> RemoteQueue::connected() const {
  if (auto ok = client_->connected(); !ok) return ok;
  const std::lock_guard lock(mutex_);
  if (silent_) return tl::unexpected<Error>(*silent_);
  return {};
}

void RemoteQueue::nudge() noexcept {
  const std::lock_guard lock(mutex_);
  nudged_ = true;
  for (Interrupter* receive : waiting_) client_->interrupt(*receive);
}

void RemoteQueue::interrupt() noexcept {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  silent_.reset();  // nobody asks it any more, to hear that it is back
  for (Interrupter* receive : waiting_) client_->interrupt(*receive);
}

std::size_t RemoteQueue::backlog(const Demand& demand) const noexcept {
  const std::lock_guard lock(mutex_);
  const auto it = backlogs_.find(key_of(demand));
  return it == backlogs_.end() ? 0 : it->second;
}

}  // namespace carrel::zmq

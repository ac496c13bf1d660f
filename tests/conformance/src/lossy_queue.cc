#include <carrel/conformance/faults.h>

#include <cstdio>
#include <utility>

namespace carrel::conformance {
namespace {

Lossiness with_seed(Lossiness how) {
  if (how.seed == 0) how.seed = std::random_device{}();
  std::fprintf(stderr, "LossyQueue: seed %llu\n",
               static_cast<unsigned long long>(how.seed));
  return how;
}

}  // namespace

LossyQueue::LossyQueue(std::unique_ptr<Queue> real, Lossiness how)
    : real_(std::move(real)), how_(with_seed(how)), random_(how_.seed) {}

QueueTraits LossyQueue::traits() const noexcept {
  QueueTraits traits = real_->traits();
  traits.prioritised = false;  // reordered below
  return traits;
}

bool LossyQueue::chance(double probability) {
  return std::uniform_real_distribution<>(0, 1)(random_) < probability;
}

void LossyQueue::let_go(std::vector<Ticket>& out) {
  while (!held_.empty() && chance(0.5)) {
    out.push_back(std::move(held_.front()));
    held_.pop_front();
  }
}

std::size_t LossyQueue::publish(std::span<const Ticket> tickets) noexcept {
  std::vector<Ticket> out;
  {
    const std::lock_guard lock(mutex_);
    let_go(out);
    for (const Ticket& ticket : tickets) {
      if (chance(how_.drop)) {
        ++harm_.dropped;
        continue;
      }
      if (chance(how_.delay)) {
        ++harm_.delayed;
        held_.push_back(ticket);
        continue;
      }
      out.push_back(ticket);
      if (chance(how_.twice)) {
        ++harm_.doubled;
        out.push_back(ticket);
      }
    }
    for (std::size_t i = 1; i < out.size(); ++i) {
      if (!chance(how_.reorder)) continue;
      ++harm_.reordered;
      std::swap(out[i], out[random_() % i]);
    }
  }
  // What the real queue has no room for is one more loss.
  static_cast<void>(real_->publish(out));
  return tickets.size();
}

Result<std::vector<Queue::Delivery>> LossyQueue::receive(const Demand& demand,
                                                         Duration wait) {
  std::vector<Ticket> late;
  {
    const std::lock_guard lock(mutex_);
    let_go(late);
  }
  if (!late.empty()) static_cast<void>(real_->publish(late));
  return real_->receive(demand, wait);
}

void LossyQueue::settle(std::span<const std::uint64_t> receipts) noexcept {
  real_->settle(receipts);
}

std::size_t LossyQueue::backlog(const Demand& demand) const noexcept {
  return real_->backlog(demand);
}

void LossyQueue::interrupt() noexcept { real_->interrupt(); }

LossyQueue::Harm LossyQueue::harm() const {
  const std::lock_guard lock(mutex_);
  return harm_;
}

}  // namespace carrel::conformance

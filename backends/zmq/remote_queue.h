// The queue of tickets behind a broker.
#pragma once

#include <carrel/connected.h>
#include <carrel/nudge.h>
#include <carrel/queue.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client.h"

namespace carrel::zmq {

class RemoteQueue final : public Queue, public Nudge, public Connected {
 public:
  RemoteQueue(std::unique_ptr<Client> client, LogFn log)
      : log_(std::move(log)), client_(std::move(client)) {}
  // Says how many of the tickets that publish() took did not arrive.
  ~RemoteQueue() override;

  QueueTraits traits() const noexcept override;
  // What the broker has no room for, and what is on its way when the connection breaks,
  // is lost, as a ticket may be. Of the former those who wait in receive() hear: they get
  // nothing, at once.
  std::size_t publish(std::span<const Ticket> tickets) noexcept override;
  // A broker that does not answer costs a second more than `wait`.
  Result<std::vector<Delivery>> receive(const Demand& demand, Duration wait) override;
  // The broker forgot them when it handed them out.
  void settle(std::span<const std::uint64_t> /*receipts*/) noexcept override {}
  // As the broker said with the last delivery for this demand.
  std::size_t backlog(const Demand& demand) const noexcept override;
  void nudge() noexcept override;
  void interrupt() noexcept override;
  // Nor is it, while the broker did not answer the last receive().
  Result<void> connected() const override;

 private:
  struct DemandKey {
    std::vector<std::string> queues;
    std::vector<std::string> kinds;
    std::vector<std::pair<std::string, std::size_t>> bounds;
    auto operator<=>(const DemandKey&) const = default;
  };
  Result<std::vector<Delivery>> receive(const Demand& demand, Duration wait,
                                        Interrupter& interrupter);
  static DemandKey key_of(const Demand& demand);
  void on_refused();

  const LogFn log_;
  std::atomic<bool> closing_{false};
  std::atomic<std::size_t> undelivered_{0};  // when it closed
  std::atomic<std::size_t> on_the_way_{
      0};  // tickets that the broker has not answered for
  std::atomic<std::int64_t> full_until_{0};  // steady microseconds
  mutable std::mutex mutex_;                 // guards all below
  std::map<DemandKey, std::size_t> backlogs_;
  std::set<Interrupter*> waiting_;  // of each receive() under way
  bool nudged_ = false;             // and none has answered yet
  bool interrupted_ = false;
  std::optional<Error> silent_;     // why the last receive() got no answer
  std::unique_ptr<Client> client_;  // last: its thread uses what is above
};

}  // namespace carrel::zmq

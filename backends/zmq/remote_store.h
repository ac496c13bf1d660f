// The store behind a broker.
#pragma once

#include <carrel/store.h>

#include <memory>

#include "client.h"
#include "pieces.h"

namespace carrel::zmq {

class RemoteStore final : public Store, private Monitor {
 public:
  explicit RemoteStore(std::unique_ptr<Client> client, LogFn log);

  StoreTraits traits() const noexcept override;
  std::unique_ptr<ClaimSource> claim_source() override;
  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration deadline) override;
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker,
                                         std::uint64_t claim_number,
                                         Duration lease) override;
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override;
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override;
  Result<std::vector<Cancelled>> cancel(std::span<const JobId> ids) override;
  std::vector<Result<Ticket>> retry(std::span<const JobId> ids) override;
  Result<std::vector<Ticket>> peek(const Demand& demand) override;
  Result<Swept> sweep(std::size_t max) override;
  Result<std::vector<Ticket>> set_paused(std::string_view queue, bool paused) override;
  Result<std::vector<JobId>> await_final(std::span<const JobId> ids,
                                         Duration wait) override;
  void interrupt() noexcept override;
  Monitor& monitor() noexcept override { return *this; }

 private:
  class Source;

  Result<JobRecord> job(JobId id) override;
  Result<std::vector<JobRecord>> list(const Filter& filter, JobId before,
                                      std::size_t limit) override;
  Result<Counts> counts() override;
  Result<std::vector<std::string>> paused() override;

  Result<std::vector<Pulse>> beat_once(std::string_view worker, std::uint64_t settled,
                                       std::span<const Beat> beats, bool renew,
                                       Duration lease);
  Result<std::vector<Pulse>> beat_in_pieces(std::string_view worker,
                                            std::span<const Beat> beats, bool renew,
                                            Duration lease);
  std::vector<Result<Finished>> finish_in_pieces(std::span<const Finish> runs);
  void say_dropped(JobId job) const;  // its checkpoint
  void add(Interrupter& source);
  void remove(Interrupter& source);
  Room room() const;

  const LogFn log_;
  Interrupter interrupter_;  // of those that await
  std::mutex mutex_;
  std::set<Interrupter*> sources_;  // those of the claim sources
  std::unique_ptr<Client> client_;
};

}  // namespace carrel::zmq

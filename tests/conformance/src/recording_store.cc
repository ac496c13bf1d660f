#include <carrel/conformance/events.h>

#include <utility>

namespace carrel::conformance {
namespace {

Event of_run(Event::Kind kind, const Lease& lease) {
  Event event;
  event.kind = kind;
  event.id = value(lease.id);
  event.fence = value(lease.fence);
  return event;
}

// `asked`: before the call, so that the lease holds at least until asked + lease.
void log_claim(EventLog& log, const Claimed& run, std::int64_t asked, Duration lease) {
  Event event = of_run(Event::Kind::kClaim, run.lease);
  event.attempt = run.attempt;
  event.until = asked + lease.count();
  log.append(event);
}

class RecordingSource final : public ClaimSource {
 public:
  RecordingSource(std::unique_ptr<ClaimSource> real, std::shared_ptr<EventLog> log)
      : real_(std::move(real)), log_(std::move(log)) {}

  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override {
    const std::int64_t asked = boot_time_us();
    auto runs = real_->claim(demand, worker, claim_number, lease, wait);
    if (runs) {
      for (const Claimed& run : *runs) log_claim(*log_, run, asked, lease);
    }
    return runs;
  }
  void interrupt() noexcept override { real_->interrupt(); }

 private:
  std::unique_ptr<ClaimSource> real_;
  std::shared_ptr<EventLog> log_;
};

}  // namespace

RecordingStore::RecordingStore(std::unique_ptr<Store> real, std::shared_ptr<EventLog> log)
    : StoreWrapper(std::move(real)), log_(std::move(log)) {}

std::unique_ptr<ClaimSource> RecordingStore::claim_source() {
  auto source = StoreWrapper::claim_source();
  if (!source) return nullptr;
  return std::make_unique<RecordingSource>(std::move(source), log_);
}

Result<std::vector<ClaimAnswer>> RecordingStore::claim(std::span<const Ticket> tickets,
                                                       std::string_view worker,
                                                       std::uint64_t claim_number,
                                                       Duration lease) {
  const std::int64_t asked = boot_time_us();
  auto answers = StoreWrapper::claim(tickets, worker, claim_number, lease);
  if (answers) {
    for (const ClaimAnswer& answer : *answers) {
      if (answer) log_claim(*log_, *answer, asked, lease);
    }
  }
  return answers;
}

Result<std::vector<Pulse>> RecordingStore::beat(std::string_view worker,
                                                std::uint64_t settled_claim,
                                                std::span<const Beat> beats, bool renew,
                                                Duration lease) {
  const std::int64_t asked = boot_time_us();
  auto pulses = StoreWrapper::beat(worker, settled_claim, beats, renew, lease);
  if (!pulses) return pulses;
  for (std::size_t i = 0; i < pulses->size() && i < beats.size(); ++i) {
    if ((*pulses)[i] == Pulse::kHeld) continue;  // nothing was changed
    const bool stale = (*pulses)[i] == Pulse::kStale;
    if (!stale && !renew) continue;
    Event event =
        of_run(stale ? Event::Kind::kBeatStale : Event::Kind::kRenew, beats[i].lease);
    if (!stale) event.until = asked + lease.count();
    log_->append(event);
  }
  return pulses;
}

std::vector<Result<Finished>> RecordingStore::finish(std::span<const Finish> runs) {
  auto answers = StoreWrapper::finish(runs);
  for (std::size_t i = 0; i < answers.size() && i < runs.size(); ++i) {
    if (!answers[i]) continue;
    Event event;
    switch (answers[i]->kind) {
      case Finished::Kind::kApplied:
        event = of_run(Event::Kind::kApplied, runs[i].lease);
        event.key = to_string(answers[i]->state);
        break;
      case Finished::Kind::kAlready:
        event = of_run(Event::Kind::kAlready, runs[i].lease);
        break;
      case Finished::Kind::kStale:
        event = of_run(Event::Kind::kStale, runs[i].lease);
        break;
    }
    log_->append(event);
  }
  return answers;
}

}  // namespace carrel::conformance

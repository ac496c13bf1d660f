// Faults: wrappers that break the real thing underneath in known ways.
#pragma once

#include <carrel/conformance/store_wrapper.h>
#include <carrel/queue.h>
#include <carrel/store.h>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

namespace carrel::conformance {

// How often LossyQueue does each harm to a ticket: probabilities, 0 to 1.
struct Lossiness {
  double drop = 0.2;       // it never arrives
  double twice = 0.2;      // it arrives twice
  double reorder = 0.3;    // it changes places with another of its batch
  double delay = 0.2;      // it waits for a later publish or receive
  std::uint64_t seed = 0;  // 0: random; printed to stderr in either case
};

// A queue that loses, doubles, reorders and delays tickets: all that Queue allows.
// Threads: as Queue.
class LossyQueue final : public Queue {
 public:
  explicit LossyQueue(std::unique_ptr<Queue> real, Lossiness how = {});

  QueueTraits traits() const noexcept override;
  std::size_t publish(std::span<const Ticket> tickets) noexcept override;
  Result<std::vector<Delivery>> receive(const Demand& demand, Duration wait) override;
  void settle(std::span<const std::uint64_t> receipts) noexcept override;
  std::size_t backlog(const Demand& demand) const noexcept override;
  void interrupt() noexcept override;

  struct Harm {
    std::size_t dropped = 0;
    std::size_t doubled = 0;
    std::size_t reordered = 0;
    std::size_t delayed = 0;
  };
  Harm harm() const;  // done so far

 private:
  bool chance(double probability);        // mutex_ held
  void let_go(std::vector<Ticket>& out);  // mutex_ held

  std::unique_ptr<Queue> real_;
  const Lossiness how_;
  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  std::deque<Ticket> held_;
  Harm harm_;
};

// Where a CrashingStore can fail.
enum class FaultPoint : std::uint8_t {
  kBeforeInsertCommit,
  kAfterInsertCommit,  // stored, and the answer is lost
  kBeforeClaimCommit,
  kAfterClaimCommit,
  kBeforeFinishCommit,
  kAfterFinishCommitBeforeReply,
  kBeforeBeatCommit,
};
inline constexpr std::size_t kFaultPointCount = 7;
// "before_insert_commit", …, "after_finish_commit_before_reply", …
std::string_view to_string(FaultPoint point) noexcept;
std::optional<FaultPoint> parse_fault_point(std::string_view name) noexcept;

enum class FaultMode : std::uint8_t {
  kError,  // the call answers kUnavailable; what was committed stays committed
  kKill,   // the process dies by SIGKILL
  kStop,   // the process stops by SIGSTOP, and goes on when somebody continues it
};

// Which faults are to happen. Shared by a test and the stores it breaks. Threads: safe.
class FaultPlan {
 public:
  // The fault happens in the calls numbered after + 1 … after + times through `point`,
  // counted from now.
  void arm(FaultPoint point, FaultMode mode, std::uint64_t after = 0,
           std::uint64_t times = 1);
  void disarm(FaultPoint point);
  std::uint64_t happened(FaultPoint point) const;  // faults, so far

  // Passes `point`: an Error where the call must fail. May not return.
  std::optional<Error> pass(FaultPoint point);

 private:
  struct Arm {
    FaultMode mode = FaultMode::kError;
    std::uint64_t after = 0;
    std::uint64_t times = 0;
    std::uint64_t happened = 0;
  };
  mutable std::mutex mutex_;
  std::array<Arm, kFaultPointCount> arms_;
};

// A store that fails at named points of the real one; so does its claim_source, if the
// real one has any. What has no named point goes straight through. Threads: as Store.
class CrashingStore final : public StoreWrapper {
 public:
  CrashingStore(std::unique_ptr<Store> real, std::shared_ptr<FaultPlan> plan);

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

 private:
  std::shared_ptr<FaultPlan> plan_;
};

}  // namespace carrel::conformance

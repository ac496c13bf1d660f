#include "server/store.h"

#include <algorithm>
#include <atomic>

#include "batch.h"
#include "check.h"
#include "group_commit.h"
#include "server/check_row.h"
#include "server/finisher.h"
#include "server/monitor.h"
#include "server/reader.h"
#include "server/writer.h"

namespace carrel::sql::server {
namespace {

class ServerStore final : public Store {
 public:
  ServerStore(std::shared_ptr<Driver> driver, const BackendOptions& options,
              const MakeNews& make_news)
      : driver_(std::move(driver)),
        waiters_([this] { news_->listen(); }),
        reader_(*driver_, options),
        monitor_(*driver_),
        news_(make_news(waiters_, [this] { return poll(); })),
        producer_(*driver_, options, waiters_, *news_, limits_used_),
        claimer_(*driver_, options, waiters_, *news_, limits_used_),
        worker_(*driver_, options, waiters_, *news_, limits_used_),
        finisher_([this](std::span<const Finish* const> finishes, bool patient) {
          return worker_.finish(finishes, patient);
        }) {}

  StoreTraits traits() const noexcept override {
    StoreTraits traits;
    traits.reach = Reach::kNetwork;
    traits.durable = true;
    traits.limits = true;
    traits.rates = true;
    traits.unique = true;
    traits.queue_limits = true;
    traits.host_transactions = true;
    traits.max_payload = driver_->max_payload();
    return traits;
  }

  std::unique_ptr<ClaimSource> claim_source() override;

  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration deadline) override {
    Batch<NewJob, Inserted> batch(jobs,
                                  [&](const NewJob& job) { return check_job(job); });
    if (batch.good().empty()) return batch.with({});
    return batch.with(producer_.insert(batch.good(), deadline));
  }
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker,
                                         std::uint64_t claim_number,
                                         Duration lease) override {
    if (tickets.empty()) return std::vector<ClaimAnswer>{};
    return claimer_.write([&](Writer& writer) {
      return writer.claim(tickets, worker, claim_number, lease);
    });
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    finisher_.mind(lease);
    return worker_.write([&](Writer& writer) {
      return writer.beat(worker, settled_claim, beats, renew, lease);
    });
  }
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override {
    Batch<Finish, Finished> batch(runs,
                                  [&](const Finish& run) { return check_run(run); });
    return batch.with_each(finisher_.finish(batch.good()));
  }
  Result<std::vector<Cancelled>> cancel(std::span<const JobId> ids) override {
    if (ids.empty()) return std::vector<Cancelled>{};
    return producer_.write([&](Writer& writer) { return writer.cancel(ids); });
  }
  std::vector<Result<Ticket>> retry(std::span<const JobId> ids) override {
    if (ids.empty()) return {};
    auto answers = producer_.write([&](Writer& writer) { return writer.retry(ids); });
    if (answers) return std::move(*answers);
    return std::vector<Result<Ticket>>(ids.size(), tl::unexpected(answers.error()));
  }
  Result<std::vector<Ticket>> peek(const Demand& demand) override {
    lanes_sought_ = true;
    return reader_.peek(demand);
  }
  Result<Swept> sweep(std::size_t max) override {
    if (lanes_sought_.exchange(false)) reader_.mend_plans();
    constexpr std::size_t kManyTallies = 1000;
    if (worker_.writer.tallied() < kManyTallies) {
      auto next = reader_.next_due();
      if (!next) return tl::unexpected(std::move(next.error()));
      if (*next > Duration::zero()) {
        Swept nothing;
        nothing.next = *next;
        return nothing;
      }
    }
    auto swept = worker_.write([&](Writer& writer) { return writer.sweep(max); });
    if (!swept) return swept;
    const std::size_t moved = swept->due.size() + swept->discarded;
    const auto cleared = worker_.write(
        [&](Writer& writer) { return writer.clear(max - std::min(max, moved)); });
    if (cleared) {
      swept->purged = cleared->purged;
      swept->next = std::max(swept->next, cleared->next);
    } else if (moved + swept->rescued ==
               0) {  // else that must be told; the next one says
      return tl::unexpected(cleared.error());
    }
    return swept;
  }
  Result<std::vector<Ticket>> set_paused(std::string_view queue, bool paused) override {
    if (auto ok = check_queue(queue, driver_->origin()); !ok) {
      return tl::unexpected(ok.error());
    }
    if (auto ok = check_text("the queue's name", queue, driver_->origin()); !ok) {
      return tl::unexpected(ok.error());
    }
    return producer_.write(
        [&](Writer& writer) { return writer.set_paused(queue, paused); });
  }
  Result<std::vector<JobId>> await_final(std::span<const JobId> ids,
                                         Duration wait) override {
    if (ids.empty()) return std::vector<JobId>{};
    const auto until = Waiters::deadline_after(wait);
    Waiters::EndWaiter waiter(waiters_, ids);
    for (;;) {
      waiter.looking();
      auto ended = reader_.ended(ids);
      if (!ended || !ended->empty()) return ended;
      if (!waiter.wait(until)) return std::vector<JobId>{};
    }
  }
  void announce(std::span<const Ticket> tickets) noexcept override {
    news_->tell(waiters_.announce(tickets), false);
  }
  void interrupt() noexcept override { waiters_.interrupt(); }
  Monitor& monitor() noexcept override { return monitor_; }

 private:
  class Source;

  // A connection that writes, and who has it in turn.
  struct Half {
    Half(Driver& driver, const BackendOptions& options, Waiters& waiters, News& news,
         UsedLimits& limits_used)
        : writer(driver, options, waiters, news, limits_used),
          group(writer, options.poll) {}

    // Runs `work` in the next transaction; its answer, after the commit.
    template <class Work>
    auto write(Work work, std::optional<Duration> deadline = std::nullopt)
        -> Result<decltype(work(std::declval<Writer&>()))> {
      std::optional<decltype(work(writer))> answer;
      auto done = group.run([&] { answer.emplace(writer.perform(work)); }, deadline);
      if (!done) return tl::unexpected(std::move(done.error()));
      return std::move(*answer);
    }

    Result<std::vector<Inserted>> insert(std::span<const NewJob* const> jobs,
                                         Duration deadline) {
      std::vector<Inserted> answers;
      auto done = group.run([&] { writer.insert_with_others(jobs, answers); }, deadline);
      if (!done) return tl::unexpected(std::move(done.error()));
      return answers;
    }
    Result<Writer::Taken> take(const Demand& demand, std::string_view worker,
                               std::uint64_t claim_number, Duration lease) {
      std::optional<Writer::Taken> taken;
      auto done = group.run([&] {
        taken = writer.take_at_once(demand, worker, claim_number, lease);
        if (taken) return;
        taken = writer.perform([&](Writer& opened) {
          return opened.take(demand, worker, claim_number, lease);
        });
      });
      if (!done) return tl::unexpected(std::move(done.error()));
      return std::move(*taken);
    }
    Finisher::Try finish(std::span<const Finish* const> runs, bool patient) {
      std::vector<Finished> answers;
      bool held = false;
      auto done = group.run([&] {
        held = false;
        try {
          if (!patient) writer.lose_patience();
          answers = writer.perform([&](Writer& opened) { return opened.finish(runs); });
        } catch (...) {
          held = writer.waited_in_vain();
          throw;
        }
      });
      if (!done) return {tl::unexpected(std::move(done.error())), held};
      return {std::move(answers)};
    }

    Writer writer;
    GroupCommit group;
  };

  Result<std::vector<Lane>> poll() {
    auto lanes = reader_.lanes();
    if (lanes && !lanes->empty()) lanes_sought_ = true;
    return lanes;
  }

  Result<void> check_job(const NewJob& job) const {
    return check_row(job, driver_->max_payload(), driver_->origin());
  }
  Result<void> check_run(const Finish& run) const {
    return check_size("the result of job " + std::to_string(value(run.lease.id)),
                      run.result.size(), driver_->max_payload(), driver_->origin());
  }

  const std::shared_ptr<Driver> driver_;
  Waiters waiters_;
  Reader reader_;
  ServerMonitor monitor_;
  // Lanes were looked for since the last sweep, where there may be some: a store that has
  // nothing to do asks no more than it must.
  std::atomic<bool> lanes_sought_{false};
  std::unique_ptr<News> news_;
  UsedLimits limits_used_;
  // Those who bring jobs, who take them and who say what became of them do not wait for
  // each other.
  Half producer_;
  Half claimer_;
  Half worker_;
  Finisher finisher_;
};

class ServerStore::Source final : public ClaimSource {
 public:
  explicit Source(ServerStore& store) : store_(store), waiter_(store.waiters_) {}

  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override {
    const auto until = Waiters::deadline_after(wait);
    waiter_.enter(demand);
    std::vector<Lane> leftover;
    auto answer = look(demand, worker, claim_number, lease, until, leftover);
    waiter_.leave(std::move(leftover));
    return answer;
  }

  void interrupt() noexcept override { waiter_.interrupt(); }

 private:
  Result<std::vector<Claimed>> look(const Demand& demand, std::string_view worker,
                                    std::uint64_t claim_number, Duration lease,
                                    Waiters::Deadline until,
                                    std::vector<Lane>& leftover) {
    const bool takes_any = demand.max > 0 && !demand.kinds.empty();
    const Waiters::Claiming claiming{worker, claim_number, lease};
    // Who goes on waiting asks nothing: whatever comes is told, or seen by the poll.
    bool looks = !(until > std::chrono::steady_clock::now() && waiter_.looks_in_vain());
    bool woken = false;  // there was nothing anywhere, and something came
    for (; !waiter_.interrupted(); looks = true) {
      std::optional<Lane> signal;
      if (looks) signal = waiter_.looking();
      if (!woken || demand.in_order) signal.reset();
      if (looks && takes_any) {
        store_.lanes_sought_ = true;
        auto taken = store_.claimer_.take(signal ? of_lane(demand, *signal) : demand,
                                          worker, claim_number, lease);
        if (!taken) return tl::unexpected(std::move(taken.error()));
        if (!taken->jobs.empty()) {
          leftover = std::move(taken->leftover);
          return std::move(taken->jobs);
        }
        if (!signal) waiter_.found_nothing();
      }
      const bool goes_on = waiter_.wait(until, &claiming);
      if (auto given = waiter_.take_given(leftover)) return std::move(*given);
      if (!goes_on) break;
      woken = true;
    }
    return std::vector<Claimed>{};
  }

  static Demand of_lane(Demand demand, const Lane& lane) {
    demand.queues = {&lane.queue, 1};
    demand.kinds = {&lane.kind, 1};
    return demand;
  }

  ServerStore& store_;
  Waiters::ClaimWaiter waiter_;
};

std::unique_ptr<ClaimSource> ServerStore::claim_source() {
  return std::make_unique<Source>(*this);
}

}  // namespace

std::unique_ptr<Store> make_store(std::shared_ptr<Driver> driver,
                                  const BackendOptions& options,
                                  const MakeNews& make_news) {
  return std::make_unique<ServerStore>(std::move(driver), options, make_news);
}

}  // namespace carrel::sql::server

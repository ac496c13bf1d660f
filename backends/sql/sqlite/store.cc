#include "store.h"

#include <algorithm>

#include "batch.h"
#include "check.h"
#include "error.h"
#include "file_version.h"
#include "gate.h"
#include "group_commit.h"
#include "monitor.h"
#include "reader.h"
#include "schema.h"
#include "waiters.h"
#include "writer.h"

namespace carrel::sql::sqlite {
namespace {

// How soon the commits of other processes are noticed, while anybody waits for one.
constexpr Duration kTick = std::chrono::milliseconds(10);

struct Parts {
  Settings settings;
  std::unique_ptr<Session> writer;
  std::unique_ptr<Session> reader;
  std::unique_ptr<Session> monitor;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(Gate gate, Parts parts, const BackendOptions& options)
      : settings_(parts.settings),
        gate_(std::move(gate)),
        waiters_([this] { group_->nudge(); }),
        reader_(std::make_unique<Reader>(settings_, options, std::move(parts.reader))),
        monitor_(std::make_unique<SqliteMonitor>(settings_, options,
                                                 std::move(parts.monitor))),
        session_(std::move(parts.writer)),
        writer_(
            std::make_unique<Writer>(settings_, options, waiters_, &gate_, *session_)),
        group_(std::make_unique<GroupCommit>(
            *writer_, std::clamp(options.poll, Duration(1000), kTick))) {}

  ~SqliteStore() override {
    group_.reset();
    // The last session to close copies the log into the file, as a writer would.
    const bool turn = gate_.lock(settings_.busy_timeout).has_value();
    if (!turn) {
      session_->keep_log();
      reader_->session().keep_log();
      monitor_->session().keep_log();
    }
    writer_.reset();
    session_.reset();
    monitor_.reset();
    reader_.reset();
    if (turn) gate_.unlock();
  }

  StoreTraits traits() const noexcept override {
    StoreTraits traits;
    traits.reach = Reach::kHost;
    traits.durable = true;
    traits.host_transactions = true;
    traits.limits = true;
    traits.unique = true;
    traits.rates = true;
    traits.queue_limits = true;
    traits.max_payload = kMaxPayload;
    return traits;
  }

  std::unique_ptr<ClaimSource> claim_source() override;

  std::vector<Result<Inserted>> insert(std::span<const NewJob> jobs,
                                       Duration deadline) override;
  Result<std::vector<ClaimAnswer>> claim(std::span<const Ticket> tickets,
                                         std::string_view worker,
                                         std::uint64_t claim_number,
                                         Duration lease) override {
    if (tickets.empty()) return std::vector<ClaimAnswer>{};
    return write([&] { return writer_->claim(tickets, worker, claim_number, lease); });
  }
  Result<std::vector<Pulse>> beat(std::string_view worker, std::uint64_t settled_claim,
                                  std::span<const Beat> beats, bool renew,
                                  Duration lease) override {
    return write(
        [&] { return writer_->beat(worker, settled_claim, beats, renew, lease); });
  }
  std::vector<Result<Finished>> finish(std::span<const Finish> runs) override;
  Result<std::vector<Cancelled>> cancel(std::span<const JobId> ids) override {
    if (ids.empty()) return std::vector<Cancelled>{};
    return write([&] { return writer_->cancel(ids); });
  }
  std::vector<Result<Ticket>> retry(std::span<const JobId> ids) override;
  Result<std::vector<Ticket>> peek(const Demand& demand) override {
    return reader_->peek(demand);
  }
  Result<Swept> sweep(std::size_t max) override;
  Result<std::vector<Ticket>> set_paused(std::string_view queue, bool paused) override {
    if (auto ok = check_queue(queue, kOrigin); !ok) return tl::unexpected(ok.error());
    return write([&] { return writer_->set_paused(queue, paused); });
  }
  Result<std::vector<JobId>> await_final(std::span<const JobId> ids,
                                         Duration wait) override;
  void announce(std::span<const Ticket> tickets) noexcept override {
    waiters_.announce(tickets);
  }
  void interrupt() noexcept override { waiters_.interrupt(); }
  Monitor& monitor() noexcept override { return *monitor_; }

 private:
  class Source;

  // Runs `work` in the writer's next transaction; its answer, after the commit.
  template <class Work>
  auto write(Work work, std::optional<Duration> deadline = std::nullopt)
      -> Result<decltype(work())> {
    std::optional<decltype(work())> answer;
    auto done = group_->run([&] { answer.emplace(work()); }, deadline);
    if (!done) return tl::unexpected(std::move(done.error()));
    return std::move(*answer);
  }

  const Settings settings_;
  Gate gate_;
  Waiters waiters_;
  std::unique_ptr<Reader> reader_;
  std::unique_ptr<SqliteMonitor> monitor_;
  std::unique_ptr<Session> session_;  // the writer's
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<GroupCommit> group_;  // its thread uses all the others
};

std::vector<Result<Inserted>> SqliteStore::insert(std::span<const NewJob> jobs,
                                                  Duration deadline) {
  Batch<NewJob, Inserted> batch(
      jobs, [](const NewJob& job) { return check(job, kMaxPayload, kOrigin); });
  if (batch.good().empty()) return batch.with({});
  return batch.with(write([&] { return writer_->insert(batch.good()); }, deadline));
}

std::vector<Result<Finished>> SqliteStore::finish(std::span<const Finish> runs) {
  Batch<Finish, Finished> batch(runs, [](const Finish& run) {
    return check_size("the result of job " + std::to_string(value(run.lease.id)),
                      run.result.size(), kMaxPayload, kOrigin);
  });
  if (batch.good().empty()) return batch.with({});
  return batch.with(write([&] { return writer_->finish(batch.good()); }));
}

std::vector<Result<Ticket>> SqliteStore::retry(std::span<const JobId> ids) {
  if (ids.empty()) return {};
  auto answers = write([&] { return writer_->retry(ids); });
  if (answers) return std::move(*answers);
  return std::vector<Result<Ticket>>(ids.size(), tl::unexpected(answers.error()));
}

Result<Swept> SqliteStore::sweep(std::size_t max) {
  // Whoever waits for jobs writes nothing, and would wait for ever.
  if (auto ok = session_->check_file(); !ok) return tl::unexpected(std::move(ok.error()));
  if (!writer_->has_too_many()) {
    auto next = reader_->next_due();
    if (!next) return tl::unexpected(std::move(next.error()));
    if (*next > Duration::zero()) {
      Swept nothing;
      nothing.next = *next;
      return nothing;
    }
  }
  return write([&] { return writer_->sweep(max); });
}

Result<std::vector<JobId>> SqliteStore::await_final(std::span<const JobId> ids,
                                                    Duration wait) {
  if (ids.empty()) return std::vector<JobId>{};
  const auto until = Waiters::deadline_after(wait);
  Waiters::EndWaiter waiter(waiters_, ids);
  for (;;) {
    waiter.looking();
    auto ended = reader_->ended(ids);
    if (!ended || !ended->empty()) return ended;
    if (!waiter.wait(until)) return std::vector<JobId>{};
  }
}

class SqliteStore::Source final : public ClaimSource {
 public:
  explicit Source(SqliteStore& store) : store_(store), waiter_(store.waiters_) {}

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
    while (!waiter_.interrupted()) {
      waiter_.looking();
      if (takes_any) {
        auto taken = store_.write(
            [&] { return store_.writer_->take(demand, worker, claim_number, lease); });
        if (!taken) return tl::unexpected(std::move(taken.error()));
        if (!taken->jobs.empty()) {
          leftover = std::move(taken->leftover);
          return std::move(taken->jobs);
        }
      }
      const bool goes_on = waiter_.wait(until, &claiming);
      if (auto given = waiter_.take_given(leftover)) return std::move(*given);
      if (!goes_on) break;
    }
    return std::vector<Claimed>{};
  }

  SqliteStore& store_;
  Waiters::ClaimWaiter waiter_;
};

std::unique_ptr<ClaimSource> SqliteStore::claim_source() {
  return std::make_unique<Source>(*this);
}

// All that writes or may recover the log after a crash: with the gate held.
Result<Parts> open_sessions(const Settings& settings, Gate& gate) {
  if (auto turn = gate.lock(settings.busy_timeout); !turn) {
    return tl::unexpected(std::move(turn.error()));
  }
  const GateHold hold(gate);
  auto writer = Session::open(settings, Session::Role::kWriter);
  if (!writer) return tl::unexpected(std::move(writer.error()));
  try {
    // Whoever is writing holds up nobody who finds the tables as they shall be.
    if (!is_current(**writer)) {
      (*writer)->execute("BEGIN IMMEDIATE");
      migrate(**writer);
      (*writer)->execute("COMMIT");
    }
  } catch (...) {
    return tl::unexpected(current_error(settings.path));
  }
  auto reader = Session::open(settings, Session::Role::kReader);
  if (!reader) return tl::unexpected(std::move(reader.error()));
  auto monitor = Session::open(settings, Session::Role::kReader);
  if (!monitor) return tl::unexpected(std::move(monitor.error()));
  return Parts{settings, std::move(*writer), std::move(*reader), std::move(*monitor)};
}

}  // namespace

Result<std::unique_ptr<Store>> open_store(const Url& url, const BackendOptions& options) {
  auto settings = settings_of(url);
  if (!settings) return tl::unexpected(std::move(settings.error()));
  if (auto ok = check_place(settings->path); !ok) return tl::unexpected(ok.error());
  if (auto ok = may_use(*settings); !ok) return tl::unexpected(ok.error());
  auto gate = Gate::open(settings->gate());
  if (!gate) return tl::unexpected(std::move(gate.error()));
  auto parts = open_sessions(*settings, *gate);
  if (!parts) return tl::unexpected(std::move(parts.error()));
  BackendOptions own = options;
  if (own.clock == nullptr) own.clock = &system_clock();  // the file's other users' too
  try {
    return std::make_unique<SqliteStore>(std::move(*gate), std::move(*parts), own);
  } catch (...) {
    return tl::unexpected(current_error(settings->path));
  }
}

}  // namespace carrel::sql::sqlite

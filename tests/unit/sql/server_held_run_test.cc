// A host's transaction holds the row of a job that runs for longer than the worker may
// rely on its lease, under whole engines: that run is ended in time, and no other.
#include <carrel/engine.h>
#include <carrel/log.h>

#include <atomic>
#include <future>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server_case.h"

namespace carrel::test {
namespace {

using testing::Contains;
using testing::HasSubstr;

class HeldRun : public Server {
 protected:
  HeldRun() {
    set_log_sink([this](LogLevel level, std::string_view line) {
      const std::lock_guard lock(mutex_);
      if (level >= LogLevel::kWarn) warned_.emplace_back(line);
    });
  }
  ~HeldRun() override { set_log_sink({}); }

  Engine engine() const {
    Config config;
    config.store = url();
    config.worker.concurrency = 4;
    config.worker.lease = kLease;
    config.worker.beat = kLease / 20;
    config.worker.poll = 50ms;
    Registry registry = Registry::with_builtins();
    register_sql(registry);
    return Engine::open(config, registry).value();
  }
  // When the job's lease ends, by the server's clock; and how long from now on.
  static long long lease_end(soci::session& db, JobId id) {
    long long at = 0;
    db << "SELECT wake_at FROM carrel_jobs WHERE id = " << value(id), soci::into(at);
    return at;
  }
  static Duration left_of_lease(soci::session& db, JobId id) {
    long long left = 0;
    db << "SELECT wake_at - now_us FROM carrel_jobs, carrel_clock WHERE id = "
       << value(id),
        soci::into(left);
    return Duration{left};
  }
  static void wait_until_told(Context& job) {
    std::promise<void> told;
    const std::stop_callback tell(job.stop(), [&] { told.set_value(); });
    told.get_future().wait();
  }
  void sleep(soci::session& db, Duration time) const {  // as long as its server says
    const char* how = is_postgresql(kind()) ? "SELECT pg_sleep(" : "SELECT SLEEP(";
    db << how + std::to_string(static_cast<double>(time.count()) / 1e6) + ")";
  }

  void run(bool beyond_the_lease);

  static constexpr Duration kLease = 2s;
  std::mutex mutex_;
  std::vector<std::string> warned_;
};
INSTANTIATE_TEST_SUITE_P(Of, HeldRun, testing::Values(postgres_kind(), mariadb_kind()),
                         [](const auto& of) { return of.param.name; });

void HeldRun::run(bool beyond_the_lease) {
  std::promise<void> other_runs;
  std::promise<void> held_runs;
  std::promise<Duration> told;  // what was left of its lease then
  std::promise<void> over;
  const auto other_ends = over.get_future().share();
  std::atomic<int> others{0};
  std::atomic<int> attempts{0};
  std::atomic<int> running{0};
  std::atomic<bool> overlapped{false};
  std::atomic<bool> other_told{false};
  const auto look = kind().session();
  const auto handle = [&](Engine& engine) {
    ASSERT_TRUE(engine.handle("other", [&](Context& job) {
      if (++others == 1) other_runs.set_value();
      other_ends.wait();
      if (job.stopping()) other_told = true;
    }));
    ASSERT_TRUE(engine.handle("held", [&](Context& job) -> Result<int> {
      if (++running > 1) overlapped = true;
      const int attempt = ++attempts;
      if (attempt == 1) {
        held_runs.set_value();
        wait_until_told(job);
        told.set_value(left_of_lease(*look, job.job().lease.id));
      }
      --running;
      if (job.stopping()) return Context::error("stopped");
      return attempt;
    }));
  };
  Engine first = engine();
  Engine second = engine();
  ASSERT_NO_FATAL_FAILURE(handle(first));
  ASSERT_NO_FATAL_FAILURE(handle(second));
  const JobId other = first.enqueue("other").value();
  ASSERT_TRUE(first.start());
  other_runs.get_future().wait();
  const JobId id = first.enqueue("held").value();
  held_runs.get_future().wait();
  const auto host = kind().session();
  host->begin();
  *host << "SELECT id FROM carrel_jobs WHERE id = " + std::to_string(value(id)) +
               " FOR UPDATE";
  ASSERT_TRUE(second.start());
  auto in_time = told.get_future();
  if (in_time.wait_for(10 * kLease) != std::future_status::ready) {
    host->rollback();
    over.set_value();
    FAIL() << "nobody tells the run that its lease ends";
  }
  EXPECT_GT(in_time.get(), 0us) << "others could have it while it ran";
  EXPECT_GT(lease_end(*look, other), lease_end(*look, id)) << "it is renewed";
  if (beyond_the_lease) {
    sleep(*host, std::max(left_of_lease(*look, id), Duration{0}));
    EXPECT_LE(left_of_lease(*look, id), 0us);
  }
  EXPECT_EQ(attempts, 1) << "nobody can have it while its row is held";
  host->rollback();
  EXPECT_EQ(first.wait(id, 60s).value_or(Json()), 2);
  EXPECT_FALSE(other_told);
  over.set_value();
  EXPECT_TRUE(first.wait(other, 60s));
  first.stop(10s);
  second.stop(10s);
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(others, 1);
  EXPECT_FALSE(overlapped);
  const auto counts = first.health()->counts;
  EXPECT_EQ(counts.total[static_cast<std::size_t>(State::kCompleted)], 2U);
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(warned_, Contains(HasSubstr("job " + std::to_string(value(id)) +
                                          ": its lease could not be renewed, as others "
                                          "hold its row; the run is ended"))
                           .Times(1));
}

TEST_P(HeldRun, IsEndedBeforeItsLeaseAndRunAgainWhenItsHostRollsBack) { run(false); }

TEST_P(HeldRun, IsRunAgainByOneWhereItsHostRollsBackAfterTheLease) { run(true); }

}  // namespace
}  // namespace carrel::test

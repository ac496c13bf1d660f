// One file, several stores and processes: each sees what the others commit, and each gets
// its turn.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "sqlite/gate.h"
#include "sqlite_files.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::SizeIs;

// Others are noticed within moments, however rarely the store is polled: far more than
// that, for machines that are busy, and far less than a poll.
constexpr Duration kNotice = 5min;

class SqliteShare : public testing::Test {
 protected:
  std::unique_ptr<Store> open() {
    BackendOptions rarely;
    rarely.poll = 1h;
    auto store = open_url(file_, rarely);
    EXPECT_TRUE(store.has_value()) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  TemporaryDirectory place_;
  std::string file_ = place_.file("jobs.db");
};

TEST_F(SqliteShare, AClaimWakesForWhatAnotherStoreInserts) {
  const auto here = open();
  const auto there = open();
  auto source = here->claim_source();
  auto waiting = std::async(std::launch::async, [&] {
    return source->claim({{}, kWork, 1}, "worker", 1, 30s, kNotice);
  });
  EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout) << "there is nothing";
  const auto ids = insert_jobs(*there, 1);
  const auto runs = waiting.get();
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  ASSERT_THAT(*runs, SizeIs(1));
  EXPECT_EQ(runs->front().lease.id, ids[0]);
}

TEST_F(SqliteShare, EveryWaitingClaimIsServedByAnotherStoresInsert) {
  const auto here = open();
  const auto there = open();
  std::vector<std::future<Result<std::vector<Claimed>>>> waiting;
  std::vector<std::unique_ptr<ClaimSource>> sources;
  for (int i = 0; i < 4; ++i) sources.push_back(here->claim_source());
  for (std::size_t i = 0; i < 4; ++i) {
    waiting.push_back(std::async(std::launch::async, [&, i] {
      return sources[i]->claim({{}, kWork, 1}, "worker", i + 1, 30s, kNotice);
    }));
  }
  EXPECT_EQ(waiting.back().wait_for(20ms), std::future_status::timeout);
  insert_jobs(*there, 4);
  for (auto& claim : waiting) {
    auto runs = claim.get();
    ASSERT_TRUE(runs.has_value()) << runs.error().message;
    EXPECT_THAT(*runs, SizeIs(1));
  }
}

TEST_F(SqliteShare, AnAwaitWakesForWhatAnotherStoreEnds) {
  const auto here = open();
  const auto there = open();
  const auto ids = insert_jobs(*here, 2);
  auto waiting =
      std::async(std::launch::async, [&] { return here->await_final(ids, kNotice); });
  EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout) << "none has ended";
  ASSERT_TRUE(there->cancel(std::vector{ids[1]}).has_value());
  EXPECT_THAT(waiting.get().value(), ElementsAre(ids[1]));
}

// How often connections that are opened while it lives ask whether others have committed.
class QuestionCount {
 public:
  QuestionCount() {
    count_ = 0;
    ::sqlite3_auto_extension(entry());
  }
  ~QuestionCount() { ::sqlite3_cancel_auto_extension(entry()); }
  QuestionCount(const QuestionCount&) = delete;
  QuestionCount& operator=(const QuestionCount&) = delete;
  static int now() { return count_; }

 private:
  using Entry = void (*)();
  static Entry entry() { return reinterpret_cast<Entry>(&trace); }
  static int trace(::sqlite3* opened, char**, const void*) {
    return ::sqlite3_trace_v2(opened, SQLITE_TRACE_STMT, &said, nullptr);
  }
  static int said(unsigned, void*, void*, void* text) {
    if (static_cast<const char*>(text) == std::string("PRAGMA data_version")) ++count_;
    return 0;
  }
  static inline std::atomic<int> count_{0};
};

TEST_F(SqliteShare, WhoWaitsAsksNothingWhileNothingChanges) {
  const QuestionCount counted;
  const auto here = open();
  const auto there = open();
  const auto source = here->claim_source();
  const auto claim = [&](Duration wait) {
    const auto runs = source->claim({{}, kWork, 1}, "worker", 1, 30s, wait);
    EXPECT_TRUE(runs.has_value()) << runs.error().message;
    return runs ? runs->size() : 0;
  };
  EXPECT_EQ(claim(300ms), 0U);
  EXPECT_LE(QuestionCount::now(), 1) << "at first it does not know";
  auto waiting = std::async(std::launch::async, [&] { return claim(kNotice); });
  EXPECT_EQ(waiting.wait_for(20ms), std::future_status::timeout) << "there is nothing";
  const int before = QuestionCount::now();
  insert_jobs(*there, 1);
  EXPECT_EQ(waiting.get(), 1U);
  EXPECT_GT(QuestionCount::now(), before);
}

TEST_F(SqliteShare, ATwinRequestIdFromAnotherStoreIsTheSameJob) {
  const auto here = open();
  const auto there = open();
  const NewJob job = work("{}", "order-1");
  const auto first = here->insert({&job, 1}, 10s);
  const auto second = there->insert({&job, 1}, 10s);
  EXPECT_EQ(first[0].value().id, second[0].value().id);
  EXPECT_TRUE(second[0].value().existed);
}

// Four processes that write all the time: none starves, none loses a row.
TEST_F(SqliteShare, EachOfFourProcessesGetsItsTurn) {
  constexpr int kJobs = 50;
  open();  // the tables are there before the children start
  std::vector<pid_t> children;
  for (int n = 0; n < 4; ++n) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      // A store of its own, made after the fork.
      auto store = open_url(file_ + "?busy_timeout=60s");
      if (!store) ::_exit(1);
      for (int i = 0; i < kJobs; ++i) {
        const NewJob job = work("{}", std::to_string(n * kJobs + i));
        if (!(*store)->insert({&job, 1}, 60s)[0]) ::_exit(2);
      }
      store->reset();
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  EXPECT_THAT(run_sql(file_, "SELECT count(*) FROM carrel_jobs"), ElementsAre("200"));
  EXPECT_THAT(run_sql(file_, "PRAGMA integrity_check"), ElementsAre("ok"));
}

// Somebody is in the line before the gate at `path`.
bool one_waits(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_GE(fd, 0);
  struct flock place = {};
  place.l_type = F_WRLCK;
  place.l_whence = SEEK_SET;
  place.l_len = 1;
  EXPECT_EQ(::fcntl(fd, F_OFD_GETLK, &place), 0);
  ::close(fd);
  return place.l_type != F_UNLCK;
}

TEST_F(SqliteShare, NobodyPassesWhoWaitsBeforeTheGate) {
  const std::string path = file_ + "-gate";
  for (int i = 0; i < 20; ++i) {
    auto here = sql::sqlite::Gate::open(path);
    auto there = sql::sqlite::Gate::open(path);
    ASSERT_TRUE(here.has_value() && there.has_value());
    ASSERT_TRUE(here->lock(60s).has_value());
    auto waiting = std::async(std::launch::async, [&] { return there->lock(60s); });
    while (!one_waits(path)) std::this_thread::yield();
    here->unlock();
    const bool passed = here->lock(0us).has_value();
    EXPECT_FALSE(passed);
    if (passed) here->unlock();
    EXPECT_TRUE(waiting.get().has_value());
    there->unlock();
    EXPECT_TRUE(here->lock(60s).has_value()) << "nobody is before it";
    here->unlock();
  }
}

// It copies the log into the file; and leaves it there where its turn does not come.
TEST_F(SqliteShare, TheLastCloseOfAFileWaitsForItsTurn) {
  auto gate = sql::sqlite::Gate::open(file_ + "-gate");
  ASSERT_TRUE(gate.has_value());
  auto store = open();
  insert_jobs(*store, 1);
  ASSERT_TRUE(gate->lock(60s).has_value());
  auto closed = std::async(std::launch::async, [&] { store.reset(); });
  while (!one_waits(file_ + "-gate")) std::this_thread::yield();
  EXPECT_TRUE(std::filesystem::exists(file_ + "-wal"));
  gate->unlock();
  closed.get();
  EXPECT_FALSE(std::filesystem::exists(file_ + "-wal"));

  auto impatient = open_url(file_ + "?busy_timeout=1ms");
  ASSERT_TRUE(impatient.has_value());
  insert_jobs(**impatient, 1);
  ASSERT_TRUE(gate->lock(60s).has_value());
  impatient->reset();
  EXPECT_TRUE(std::filesystem::exists(file_ + "-wal"));
  gate->unlock();
  EXPECT_EQ(run_sql(file_, "SELECT count(*) FROM carrel_jobs"),
            std::vector<std::string>{"2"});
}

// A process that is killed in the middle of its turn leaves the gate open.
TEST_F(SqliteShare, TheGateOfAKilledProcessOpens) {
  const std::string path = file_ + "-gate";
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto gate = sql::sqlite::Gate::open(path);
    if (!gate || !gate->lock(10s)) ::_exit(1);
    if (::write(ready[1], "x", 1) != 1) ::_exit(2);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  auto gate = sql::sqlite::Gate::open(path);
  ASSERT_TRUE(gate.has_value());
  auto refused = gate->lock(5ms);
  EXPECT_FALSE(refused.has_value()) << "the child holds it";
  refused = gate->lock(5ms);
  EXPECT_FALSE(refused.has_value()) << "also when asked again while the helper waits";
  auto waiting = std::async(std::launch::async, [&] { return gate->lock(60s); });
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(waiting.get().has_value());
  gate->unlock();
  auto again = gate->lock(60s);
  EXPECT_TRUE(again.has_value()) << "and it can be taken directly again";
  auto other = sql::sqlite::Gate::open(path);
  EXPECT_FALSE(other->lock(5ms).has_value());
  gate->unlock();
  EXPECT_TRUE(other->lock(60s).has_value());
}

// What was forked from the process has its open files, and is not asked to end with it.
TEST_F(SqliteShare, TheGateOfAKilledProcessOpensThoughItsChildLives) {
  const std::string path = file_ + "-gate";
  int said[2];
  int asked[2];
  ASSERT_EQ(::pipe(said), 0);
  ASSERT_EQ(::pipe(asked), 0);
  const pid_t holder = ::fork();
  ASSERT_GE(holder, 0);
  if (holder == 0) {
    ::close(asked[1]);  // so that the child ends with the test
    auto gate = sql::sqlite::Gate::open(path);
    if (!gate || !gate->lock(10s)) ::_exit(1);
    const pid_t child = ::fork();
    if (child < 0) ::_exit(2);
    char byte = 'x';
    if (child == 0) {
      if (::write(said[1], &byte, 1) != 1) ::_exit(3);
      if (::read(asked[0], &byte, 1) != 1) ::_exit(4);
      ::_exit(::write(said[1], &byte, 1) == 1 ? 0 : 5);
    }
    for (;;) ::pause();
  }
  ::close(said[1]);
  ::close(asked[0]);
  char byte = 0;
  ASSERT_EQ(::read(said[0], &byte, 1), 1);
  auto gate = sql::sqlite::Gate::open(path);
  ASSERT_TRUE(gate.has_value());
  EXPECT_FALSE(gate->lock(5ms).has_value()) << "its parent holds it";
  ::kill(holder, SIGKILL);
  ASSERT_EQ(::waitpid(holder, nullptr, 0), holder);
  EXPECT_TRUE(gate->lock(10s).has_value());
  byte = 'y';
  EXPECT_EQ(::write(asked[1], &byte, 1), 1);
  EXPECT_EQ(::read(said[0], &byte, 1), 1) << "the child had ended";
  ::close(said[0]);
  ::close(asked[1]);
}

TEST_F(SqliteShare, AChildOfAForkDoesNotLiftItsParentsGate) {
  const std::string path = file_ + "-gate";
  auto gate = sql::sqlite::Gate::open(path);
  ASSERT_TRUE(gate.has_value());
  ASSERT_TRUE(gate->lock(10s).has_value());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    gate->unlock();
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  auto other = sql::sqlite::Gate::open(path);
  ASSERT_TRUE(other.has_value());
  EXPECT_FALSE(other->lock(5ms).has_value());
  gate->unlock();
}

}  // namespace
}  // namespace carrel::test

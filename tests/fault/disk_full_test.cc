// A full disk: SQLite on a tmpfs of three megabytes. What is reported is stored, and when
// there is room again, all goes on by itself.
#include <carrel/engine.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "folder.h"
#include "work.h"

namespace carrel::fault {
namespace {

using namespace std::chrono_literals;

constexpr Duration kPatience = 60s;
constexpr Duration kLease = 1h;
constexpr std::string_view kWorker = "worker";

void start(Engine& engine) {
  const auto started = engine.start();
  ASSERT_TRUE(started) << started.error().message;
}

class DiskFull : public testing::Test {
 protected:
  // A mount namespace of this process's own: nobody else sees the disk, and it goes with
  // the process however that ends.
  void SetUp() override {
    if (unshare(CLONE_NEWNS) != 0) {
      GTEST_SKIP() << "no privilege for a mount namespace (CAP_SYS_ADMIN): "
                   << std::strerror(errno);
    }
    if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("carrel", folder_.path().c_str(), "tmpfs", 0, "size=3m") != 0) {
      GTEST_SKIP() << "no privilege to mount a tmpfs (CAP_SYS_ADMIN): "
                   << std::strerror(errno);
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
  }

  std::string url() const { return "sqlite:" + (folder_.path() / "jobs.db").string(); }

  // Takes every byte that is left.
  void fill() {
    const int fd =
        open((folder_.path() / "filler").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ASSERT_GE(fd, 0);
    for (std::size_t size : {std::size_t{65'536}, std::size_t{4'096}, std::size_t{1}}) {
      const std::string block(size, 'x');
      while (write(fd, block.data(), block.size()) ==
             static_cast<ssize_t>(block.size())) {
      }
    }
    close(fd);
  }
  void make_room() { unlink((folder_.path() / "filler").c_str()); }

  const Folder folder_;
  bool mounted_ = false;
};

class DiskFullStore : public DiskFull {
 protected:
  std::unique_ptr<Store> open_store() {
    return (*registry_.store("sqlite").value())(Url::parse(url()).value(), {}).value();
  }

  Registry registry_ = sql_registry();
};

NewJob job(std::size_t n) {
  NewJob job;
  job.kind = "work";
  job.payload = std::to_string(n) + std::string(2'000, 'p');
  return job;
}

// What the store said it has, by kind of answer.
struct Said {
  std::set<JobId> inserted;
  std::map<JobId, Lease> claimed;
  std::set<JobId> completed;
  std::size_t refused = 0;
};

// Enqueues, claims and finishes until each has been refused, or nothing is left to try.
void work_until_refused(Store& store, Said& said, std::size_t rounds) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < rounds; ++i) {
    const std::vector<NewJob> jobs(5, job(i));
    for (auto& answer : store.insert(jobs, kPatience)) {
      if (answer) {
        said.inserted.insert(answer->id);
      } else {
        EXPECT_EQ(answer.error().code, Code::kUnavailable) << answer.error().message;
        ++said.refused;
      }
    }
    const std::vector<std::string> kinds = {"work"};
    auto source = store.claim_source();
    auto runs = source->claim({{}, kinds, 5}, kWorker, ++number, kLease, 0us);
    if (!runs) {
      EXPECT_EQ(runs.error().code, Code::kUnavailable) << runs.error().message;
      ++said.refused;
    } else {
      for (const Claimed& run : *runs) said.claimed[run.lease.id] = run.lease;
    }
    std::vector<Finish> finishes;
    for (const auto& [id, lease] : said.claimed) {
      if (said.completed.contains(id)) continue;
      finishes.emplace_back();
      finishes.back().lease = lease;
      finishes.back().result = std::string(4'000, 'r');
      if (finishes.size() == 5) break;
    }
    const auto answers = store.finish(finishes);
    for (std::size_t f = 0; f < answers.size(); ++f) {
      if (answers[f]) {
        EXPECT_NE(answers[f]->kind, Finished::Kind::kStale);
        said.completed.insert(finishes[f].lease.id);
      } else {
        EXPECT_EQ(answers[f].error().code, Code::kUnavailable)
            << answers[f].error().message;
        ++said.refused;
      }
    }
  }
}

// Through a store of its own, as another process would see it.
void expect_stored(Store& store, const Said& said) {
  for (JobId id : said.inserted) {
    const auto record = store.monitor().job(id);
    ASSERT_TRUE(record) << "job " << value(id) << " was acknowledged and is not there";
    if (said.completed.contains(id)) {
      EXPECT_EQ(record->state, State::kCompleted) << "job " << value(id);
      EXPECT_EQ(record->result.size(), 4'000U);
    } else if (const auto claim = said.claimed.find(id); claim != said.claimed.end()) {
      EXPECT_EQ(record->state, State::kRunning) << "job " << value(id);
      EXPECT_EQ(record->fence, claim->second.fence);
    }
  }
}

TEST_F(DiskFullStore, NothingIsReportedThatIsNotStored) {
  auto store = open_store();
  Said said;
  work_until_refused(*store, said, 10);
  ASSERT_EQ(said.refused, 0U) << "there was room for that";
  ASSERT_FALSE(said.completed.empty());
  fill();
  work_until_refused(*store, said, 40);
  EXPECT_GT(said.refused, 0U) << "the disk should have been full";
  const std::size_t completed_when_full = said.completed.size();

  make_room();
  const std::size_t refused = said.refused;
  work_until_refused(*store, said, 10);
  EXPECT_EQ(said.refused, refused) << "the same store goes on by itself";
  EXPECT_GT(said.completed.size(), completed_when_full);
  expect_stored(*open_store(), said);
}

TEST_F(DiskFull, AnEngineGoesOnWhenThereIsRoomAgain) {
  std::mutex mutex;
  std::map<JobId, int> runs;
  Config config;
  config.store = url();
  config.worker.concurrency = 2;
  config.worker.lease = kLease;
  config.worker.beat = 50ms;
  config.worker.poll = 50ms;
  config.log.level = LogLevel::kOff;
  Engine engine = Engine::open(std::move(config), sql_registry()).value();
  engine.handle("work", [&](Context& job) {
    const std::lock_guard lock(mutex);
    ++runs[job.job().lease.id];
    return std::string(20'000, 'r');
  });
  std::vector<JobId> ids;
  ids.reserve(40);
  for (int i = 0; i < 40; ++i) ids.push_back(engine.enqueue("work", i).value());
  fill();
  start(engine);
  // It says that it cannot store, and why.
  std::optional<std::string> complaint;
  while (!complaint) {
    const auto health = engine.health();
    if (health) complaint = health->store_error;
    std::this_thread::yield();
  }
  EXPECT_FALSE(complaint->empty());
  make_room();
  for (JobId id : ids) {
    const auto result = engine.wait(id, kPatience);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->get<std::string>().size(), 20'000U);
  }
  engine.stop(10s);
  for (JobId id : ids) {
    EXPECT_EQ(runs[id], 1) << "job " << value(id)
                           << ": a kept result is not computed again";
  }
}

}  // namespace
}  // namespace carrel::fault

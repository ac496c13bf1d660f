// A disk that is full. In autocommit, an UPDATE … RETURNING on a full disk reported 2,000
// claims of which none was stored: so every write is in an explicit transaction, and
// nobody hears of it before its COMMIT.
//
// A file system of its own, 3 MB of memory, is mounted for a child process and goes with
// it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <set>
#include <string>

#include "sqlite_files.h"

namespace carrel::test {
namespace {

using namespace std::chrono_literals;

constexpr int kCannotMount = 77;

#define REQUIRE(condition)                                              \
  do {                                                                  \
    if (!(condition)) {                                                 \
      ::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                                         \
    }                                                                   \
  } while (false)

// Fills the file system up to its last byte.
void fill(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  for (std::size_t block : {std::size_t{65536}, std::size_t{4096}, std::size_t{1}}) {
    const std::string bytes(block, 'f');
    while (::write(fd, bytes.data(), bytes.size()) > 0) {
    }
  }
  ::close(fd);
}

bool is_away(const Error& error) {
  if (error.code == Code::kUnavailable) return true;
  ::fprintf(stderr, "%d: %s\n", static_cast<int>(error.code), error.message.c_str());
  return false;
}

int in_child(const std::string& folder) {
  const bool alone =
      ::unshare(CLONE_NEWNS) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
  if (!alone || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=3m") != 0) {
    return kCannotMount;
  }
  const std::string file = folder + "/jobs.db";
  auto opened = open_url(file);
  REQUIRE(opened.has_value());
  Store& store = **opened;
  const auto ids = insert_jobs(store, 300, std::string(200, 'p'));
  auto source = store.claim_source();
  auto early = source->claim({{}, kWork, 50}, "early", 1, 30s, 0us);
  REQUIRE(early.has_value() && early->size() == 50);

  fill(folder + "/ballast");
  // The log may still hold pages to be overwritten: claims succeed until it grows.
  std::set<JobId> granted;
  std::uint64_t number = 0;
  bool refused = false;
  while (!refused) {
    auto runs = source->claim({{}, kWork, 20}, "late", ++number, 30s, 0us);
    if (!runs) {
      REQUIRE(is_away(runs.error()));
      refused = true;
      break;
    }
    REQUIRE(!runs->empty());  // 250 wait: the disk must be full before they end
    for (const Claimed& run : *runs) granted.insert(run.lease.id);
  }
  // Large rows: there is no room for them in any case.
  const std::vector<NewJob> jobs(3, work(std::string(60'000, 'x')));
  for (const auto& answer : store.insert(jobs, 10s)) {
    REQUIRE(!answer.has_value());
    REQUIRE(is_away(answer.error()));
  }
  std::vector<Finish> finishes;
  for (const Claimed& run : *early) {
    Finish& finish = finishes.emplace_back();
    finish.lease = run.lease;
    finish.result = std::string(20'000, 'r');
  }
  for (const auto& answer : store.finish(finishes)) {
    REQUIRE(!answer.has_value());
    REQUIRE(is_away(answer.error()));
  }
  // What was reported is what is stored, no more and no less.
  std::set<JobId> running;
  Filter running_now;
  running_now.states = {State::kRunning};
  const auto listed = store.monitor().list(running_now, JobId{0}, 1000);
  REQUIRE(listed.has_value());
  for (const JobRecord& record : *listed) {
    if (record.worker == "late") running.insert(record.id);
  }
  REQUIRE(running == granted);
  REQUIRE(store.monitor().counts().value().total[static_cast<std::size_t>(
              State::kCompleted)] == 0);

  // It recovers by itself, and what was refused can be asked again.
  REQUIRE(::unlink((folder + "/ballast").c_str()) == 0);
  for (Finish& finish : finishes) finish.result = "\"small\"";
  for (const auto& answer : store.finish(finishes)) {
    REQUIRE(answer.has_value() && answer->kind == Finished::Kind::kApplied);
  }
  REQUIRE(insert_jobs(store, 5).size() == 5);
  opened->reset();
  const auto check = run_sql(file, "PRAGMA integrity_check");
  REQUIRE(check.size() == 1 && check[0] == "ok");
  return 0;
}

TEST(SqliteDiskFull, AFullDiskReportsNothingThatIsNotStored) {
  const TemporaryDirectory place;
  std::filesystem::create_directory(place.file("disk"));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(in_child(place.file("disk")));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == kCannotMount) {
    GTEST_SKIP() << "this user cannot mount a file system of its own";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace carrel::test

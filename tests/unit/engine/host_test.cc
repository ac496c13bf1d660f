// What the host's process is like while it has an engine: each case is a host of its own,
// host.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "../../fault/child.h"

namespace carrel {
namespace {

namespace fs = std::filesystem;
using fault::Child;
using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::UnorderedElementsAre;

std::string line_of(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// The names of its threads; its first has that of the program.
std::multiset<std::string> threads_of(pid_t pid) {
  std::multiset<std::string> names;
  const fs::path tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : fs::directory_iterator(tasks)) {
    names.insert(line_of(task.path() / "comm"));
  }
  return names;
}

// The names of all processes that have its output: it, and whatever came of it, whoever
// their parent is by now. A process server and its jobs keep stdout.
std::multiset<std::string> processes_of(pid_t pid) {
  std::error_code error;
  const auto output = fs::read_symlink("/proc/" + std::to_string(pid) + "/fd/1");
  std::multiset<std::string> names;
  for (const auto& process : fs::directory_iterator("/proc")) {
    if (fs::read_symlink(process.path() / "fd/1", error) == output) {
      names.insert(line_of(process.path() / "comm"));
    }
  }
  return names;
}

struct HostView {
  std::multiset<std::string> threads;
  std::multiset<std::string> processes;
  std::string children;  // of the first thread
};

HostView see(const std::string& role, const std::string& store) {
  Child host({ENGINE_HOST, role, store});
  EXPECT_EQ(host.wait_line(), "READY");
  const std::string pid = std::to_string(host.pid());
  HostView seen{threads_of(host.pid()), processes_of(host.pid()),
                line_of("/proc/" + pid + "/task/" + pid + "/children")};
  host.end_input();
  EXPECT_EQ(host.wait_end(std::chrono::seconds(60)), 0);
  return seen;
}

constexpr const char* kHost = "engine_host";

TEST(Host, AProducerHasNoProcessServerAndNoThread) {
  const HostView seen = see("producer", "memory:");
  EXPECT_THAT(seen.threads, ElementsAre(kHost));
  EXPECT_THAT(seen.processes, ElementsAre(kHost));
  EXPECT_EQ(seen.children, "");
}

#ifdef WITH_SQL
TEST(Host, AProducerOnSqliteHasTheThreadOfItsGroupCommit) {
  const fs::path folder =
      fs::temp_directory_path() / ("carrel-producer-" + std::to_string(getpid()));
  fs::create_directory(folder);
  const HostView seen = see("producer", "sqlite:" + (folder / "jobs.db").string());
  fs::remove_all(folder);
#ifdef __SANITIZE_THREAD__
  // The sanitizer has one, too, from the first on that the program makes.
  EXPECT_THAT(seen.threads, UnorderedElementsAre(kHost, kHost, "carrel-sql"));
#else
  EXPECT_THAT(seen.threads, UnorderedElementsAre(kHost, "carrel-sql"));
#endif
  EXPECT_THAT(seen.processes, ElementsAre(kHost));
  EXPECT_EQ(seen.children, "");
}
#endif

// So that the cases above see what they say is not there.
TEST(Host, AWorkerHasBoth) {
  const HostView seen = see("worker", "memory:");
  EXPECT_THAT(seen.threads,
              IsSupersetOf({"carrel-feed", "carrel-complete", "carrel-pulse",
                            "carrel-dispatch", "carrel-reactor", "carrel-job"}));
  EXPECT_THAT(seen.processes, Contains("carrel-server"));
  EXPECT_EQ(seen.children, "") << "the server is nobody's child";
}

class HostSignals : public testing::TestWithParam<const char*> {};

TEST_P(HostSignals, AreTheHostsBeforeAndBesideAndAfterItsJobs) {
  Child host({ENGINE_HOST, "signals", GetParam()});
  EXPECT_EQ(host.wait_line(),
            R"({"changed":{"closed":[],"enqueued":[],"opened":[],"ran":[],"run":[],)"
            R"("running":[],"started":[],"stopped":[]},"ends_heard":2,)"
            R"("own_child_afterwards":true,"own_child_beside_jobs":true,"told":1})");
  EXPECT_EQ(host.wait_end(std::chrono::seconds(60)), 0);
}

INSTANTIATE_TEST_SUITE_P(Of, HostSignals,
                         testing::Values("thread", "mutex", "fork", "exec"),
                         [](const auto& isolation) {
                           return std::string(isolation.param);
                         });

// They have a copy of its memory, and none of its threads: not one call may wait there.
TEST(Host, AnEngineAnswersUnsupportedInProcessesThatWereForkedFromItsOwn) {
  std::string refused = R"("unsupported")";
  for (int i = 1; i < 12; ++i) refused += R"(,"unsupported")";
  refused += R"(,"runs not")";
  Child host({ENGINE_HOST, "copies", "fork"});
  EXPECT_EQ(host.wait_line(), "[[" + refused + R"(,"own"],[)" + refused + "],true]");
  EXPECT_EQ(host.wait_end(std::chrono::seconds(60)), 0);
}

TEST(Host, HooksOfForkedJobsHoldWhereTheFirstStartFailed) {
  Child host({ENGINE_HOST, "hooks", "fork"});
  EXPECT_EQ(host.wait_line(), R"(["it is away",[true,true],[true,true]])");
  EXPECT_EQ(host.wait_end(std::chrono::seconds(60)), 0);
}

}  // namespace
}  // namespace carrel

#include "process_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

namespace carrel::test {

std::string hostile(std::string_view name) {
  return std::string(HOSTILE_DIR) + "/" + std::string(name);
}

pid_t server_pid() {
  Host host("fork", {}, 0);
  const Outcome outcome = host.run("parent");
  EXPECT_EQ(outcome.klass, OutcomeClass::kOk) << outcome.error.message;
  return static_cast<pid_t>(std::stol(outcome.result));
}

bool told_too_early(Host& host, const Started& job) {
  const pid_t server = server_pid();
  const pid_t keeper = parent_of(server);
  ::kill(keeper, SIGSTOP);
  EXPECT_TRUE(eventually([keeper] { return state_of(keeper) == 'T'; }));
  ::kill(server, SIGKILL);
  EXPECT_TRUE(eventually([server] { return state_of(server) == 'Z'; }));
  // In one turn or the next the reactor hears of it.
  for (int turn = 0; turn < 3; ++turn) host.settle();
  const bool told = job.sink->ended();
  ::kill(keeper, SIGCONT);
  return told;
}

namespace {

std::string of_both(pid_t server, const char* file) {
  return text_of_file(std::string("/proc/self/") + file) + "server\n" +
         text_of_file("/proc/" + std::to_string(server) + "/" + file);
}

}  // namespace

void ProcessTest::SetUp() {
  const pid_t server = server_pid();
  ASSERT_TRUE(eventually([&] { return children_of(server).empty(); }));
  own_descriptors_ = open_descriptors(getpid());
  own_children_ = children_of(getpid()).size();
  // The host's end of that call's channel is closed; the server closes its own a little
  // later.
  std::size_t last = 0;
  ASSERT_TRUE(eventually([&] {
    const auto now = open_descriptors(server);
    return now == std::exchange(last, now);
  }));
  server_descriptors_ = last;
  mounts_ = of_both(server, "mountinfo");
  groups_ = of_both(server, "cgroup");
}

void ProcessTest::TearDown() {
  close_hosts();
  const pid_t server = server_pid();  // the control job
  EXPECT_TRUE(eventually([&] { return children_of(server).empty(); }))
      << "the server has children left";
  EXPECT_TRUE(eventually([&] { return open_descriptors(server) <= server_descriptors_; }))
      << open_descriptors(server) << " descriptors in the server, " << server_descriptors_
      << " before";
  EXPECT_TRUE(eventually([&] { return open_descriptors(getpid()) == own_descriptors_; }))
      << open_descriptors(getpid()) << " descriptors in the host, " << own_descriptors_
      << " before";
  EXPECT_EQ(children_of(getpid()).size(), own_children_);
  EXPECT_EQ(of_both(server, "mountinfo"), mounts_);
  EXPECT_EQ(of_both(server, "cgroup"), groups_);
}

ProcessLimit::ProcessLimit(pid_t pid, __rlimit_resource resource, const char* name,
                           rlim_t soft)
    : pid_(pid), resource_(resource) {
  prlimit(pid_, resource_, nullptr, &before_);
  const rlimit wanted{soft, std::max(soft, before_.rlim_max)};
  if (prlimit(pid_, resource_, &wanted, nullptr) == 0) return;
  missing_ = std::string(name) + ": " + std::to_string(soft) + " is needed, and " +
             std::to_string(before_.rlim_max) + " is the hard limit";
}

ProcessLimit::~ProcessLimit() { prlimit(pid_, resource_, &before_, nullptr); }

// A folder that they all have.
LargeInputTurn::LargeInputTurn()
    : lock_(::open(HOSTILE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  while (flock(lock_.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
}

Host& ProcessTest::fork_host(std::size_t warm) {
  if (!fork_) fork_ = std::make_unique<Host>("fork", std::vector<KindSpec>{}, warm);
  return *fork_;
}

Host& ProcessTest::exec_host(std::vector<std::string> command,
                             std::map<std::string, std::string> env, std::string cwd) {
  KindSpec kind = program("program", std::move(command));
  kind.env = std::move(env);
  kind.cwd = std::move(cwd);
  kind.pass_env = {"PATH"};
  exec_ = std::make_unique<Host>("exec", std::vector<KindSpec>{kind});
  return *exec_;
}

void ProcessTest::close_hosts() {
  fork_.reset();
  exec_.reset();
}

}  // namespace carrel::test

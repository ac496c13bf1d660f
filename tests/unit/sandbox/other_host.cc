#include "other_host.h"

#include <carrel/process.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>

#include "handlers.h"
#include "sandbox_test.h"

namespace carrel::test {
namespace {

void write_to(const char* file, const std::string& text) { std::ofstream(file) << text; }

// As a container of an ordinary user would be: root of a user namespace.
bool own_user_namespace(int more) {
  if (!become_ordinary(kOrdinaryOfSandbox)) return false;
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // or its maps were root's to write
  const auto uid = std::to_string(geteuid());
  const auto gid = std::to_string(getegid());
  if (unshare(CLONE_NEWUSER | more) != 0) return false;
  write_to("/proc/self/setgroups", "deny");
  write_to("/proc/self/uid_map", "0 " + uid + " 1");
  write_to("/proc/self/gid_map", "0 " + gid + " 1");
  return geteuid() == 0;
}

// `programs`: in the tier `restricted`, the folder of the hostile ones.
int play_bomb(const std::string& programs = {}) {
  if (!prefork(add_handlers)) return 1;
  const bool restricted = !programs.empty();
  KindSpec kind =
      program("program", {(restricted ? programs : std::string("/hostile")) + "/bomb"});
  kind.sandbox.emplace();
  kind.sandbox->user = kSandboxed;
  kind.sandbox->nproc = 200;
  kind.sandbox->mounts = {{HOSTILE_DIR, "/hostile", true}};
  if (restricted) {
    kind.sandbox->tier = SandboxTier::kRestricted;
    kind.sandbox->mounts = {{programs, "", true}};
    kind.pass_env = {"TMPDIR"};
  }
  const pid_t server = server_pid();
  Host host("exec", {kind});
  const auto job = host.start("program");
  if (!eventually([server] { return programs_below(server).size() >= kCrowd; })) return 1;
  std::printf("lit\n%d\n", server);
  std::fflush(stdout);
  for (;;) pause();
}

// Ends together with its engine, while a job runs.
int play_hasty(const SandboxProfile& profile, const char* script) {
  if (!prefork(add_handlers)) return 1;
  KindSpec kind = program("program", {"/bin/sh", "-c", script});
  kind.pass_env = {"PATH", "TMPDIR"};
  kind.sandbox = profile;
  Host host("exec", {kind});
  const auto job = host.start("program");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  std::printf("ready\n");
  std::fflush(stdout);
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}

int play_full(const std::string& parent) {
  SandboxProfile profile;
  profile.tier = SandboxTier::kFull;
  profile.allow_missing = {"memory_cgroup", "pids_cgroup", "cpu_cgroup"};
  profile.cgroup_parent = parent;
  return play_hasty(profile, "echo log ready >&3; exec sleep 1000");
}

int play_restricted() {
  SandboxProfile profile;
  profile.tier = SandboxTier::kRestricted;
  profile.warm = 1;
  return play_hasty(profile,
                    "i=0; while [ $i -lt 2000 ]; do : > file-$i; i=$((i + 1)); done; "
                    "echo log ready >&3; exec sleep 1000");
}

int play_lacking(int more, void (*spoil)()) {
  if (!own_user_namespace(more)) {
    std::printf("cannot\n");
    return 0;
  }
  spoil();
  if (!prefork(add_handlers)) return 1;
  const auto lack = lacking(SandboxProfile{});
  std::printf("%s\n", lack ? lack->c_str() : "works");
  return 0;
}

void mask_proc() {
  mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  mount("tmpfs", "/proc/sys", "tmpfs", 0, nullptr);
}

int play_without_proc() {
  if (!own_user_namespace(CLONE_NEWNS)) {
    std::printf("cannot\n");
    return 0;
  }
  mask_proc();
  if (!prefork(add_handlers)) return 1;
  KindSpec kind = program("program", {"/bin/sh", "-c",
                                      "ls -A /proc | wc -l; touch /proc/file 2>&1 "
                                      ">/dev/null | grep -c Read-only"});
  kind.sandbox.emplace();
  kind.sandbox->allow_missing = {"proc"};
  Host host("exec", {kind});
  const Outcome out = host.run("program");
  std::printf("%s%s\n", out.result.c_str(), out.error.message.c_str());
  return 0;
}

// A machine that takes the namespaces away while the host runs, and then its room.
int play_spoilt() {
  if (!own_user_namespace(0)) {
    std::printf("cannot\n");
    return 0;
  }
  if (!prefork(add_handlers)) return 1;
  KindSpec kind = program("program", {"/bin/true"});
  kind.sandbox.emplace();
  Host host("exec", {kind});
  const Outcome before = host.run("program");
  write_to("/proc/sys/user/max_user_namespaces", "0");
  for (const pid_t room : children_of(server_pid())) {
    if (text_of_file("/proc/" + std::to_string(room) + "/comm")
            .starts_with("carrel-room")) {
      ::kill(room, SIGKILL);
    }
  }
  Outcome after;
  eventually([&] {  // until the end of its channel was heard of
    after = host.run("program");
    return after.klass != OutcomeClass::kWorkerLost;
  });
  std::printf("%s %s %s\n", std::string(to_string(before.klass)).c_str(),
              std::string(to_string(after.klass)).c_str(), after.error.message.c_str());
  return 0;
}

}  // namespace

int play_host(const std::string& mode) {
  if (mode == "bomb") return play_bomb();
  constexpr std::string_view kBomb = "bomb ";
  if (mode.starts_with(kBomb)) return play_bomb(mode.substr(kBomb.size()));
  constexpr std::string_view kFull = "full:";
  if (mode.starts_with(kFull)) return play_full(mode.substr(kFull.size()));
  if (mode == "restricted") return play_restricted();
  if (mode == "no-namespaces") {
    return play_lacking(0, [] { write_to("/proc/sys/user/max_user_namespaces", "0"); });
  }
  if (mode == "masked-proc") return play_lacking(CLONE_NEWNS, mask_proc);
  if (mode == "without-proc") return play_without_proc();
  if (mode == "spoilt") return play_spoilt();
  return 2;
}

OtherHost::OtherHost(const std::string& mode) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  output_.reset(ends[0]);
  process::UniqueFd theirs(ends[1]);
  int words[2];
  if (pipe2(words, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  process::UniqueFd heard(words[0]);
  input_.reset(words[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, words[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string name = "/proc/self/exe";
  std::string option = "--play-host=" + mode;
  char* argv[] = {name.data(), option.data(), nullptr};
  const int error = posix_spawn(&pid_, name.c_str(), &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("no other host");
}

OtherHost::~OtherHost() { kill(); }

std::string OtherHost::read_line() {
  std::string line;
  for (char c = 0; read(output_.get(), &c, 1) == 1 && c != '\n';) line.push_back(c);
  return line;
}

// Its server has the output too, and so has what that starts.
void OtherHost::wait_for_all() {
  char buffer[256];
  while (read(output_.get(), buffer, sizeof buffer) > 0) {
  }
}

void OtherHost::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

}  // namespace carrel::test

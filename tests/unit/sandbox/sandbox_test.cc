#include "sandbox_test.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <sstream>

#include "../machine.h"
#include "user_map.h"

namespace carrel::test {

void SandboxTest::SetUp() {
  ProcessTest::SetUp();
  profile.mounts = {{HOSTILE_DIR, "/hostile", true}};
  profile.warm = 1;
  profile.user = kSandboxed;
  spec = program("program", {});
  spec.pass_env = {"PATH", "HOME", "LANG", "TMPDIR"};
}

void SandboxTest::TearDown() {
  hosts_.clear();
  if (!shared_folder_.empty()) std::filesystem::remove_all(shared_folder_);
  ProcessTest::TearDown();
}

const std::filesystem::path& SandboxTest::shared_folder() {
  if (shared_folder_.empty()) {
    shared_folder_ = std::filesystem::temp_directory_path() /
                     ("carrel-shared-" + std::to_string(getpid()));
    std::filesystem::create_directory(shared_folder_);
    chmod(shared_folder_.c_str(), 0777);
  }
  return shared_folder_;
}

void SandboxTest::restrict_profile() {
  profile.tier = SandboxTier::kRestricted;
  programs_ = shared_folder() / "bin";
  std::filesystem::copy(HOSTILE_DIR, programs_);
  profile.mounts = {{programs_, "", true}};
}

std::string SandboxTest::program_path(std::string_view name) const {
  return programs_ + "/" + std::string(name);
}

Started SandboxTest::start(std::vector<std::string> command, std::string payload) {
  KindSpec kind = spec;
  kind.command = std::move(command);
  kind.sandbox = profile;
  auto& host = hosts_.emplace_back(
      std::make_unique<Host>("exec", std::vector<KindSpec>{std::move(kind)}));
  host->limits = limits;
  return host->start("program", std::move(payload));
}

Outcome SandboxTest::run(std::vector<std::string> command, std::string payload) {
  return start(std::move(command), std::move(payload)).sink->wait();
}

void SandboxTest::settle() {
  for (int i = 0; i < 2; ++i) hosts_.back()->settle();
}

std::vector<Outcome> SandboxTest::run_twice(std::vector<std::string> command) {
  std::vector<Outcome> outcomes = {run(std::move(command))};
  outcomes.push_back(hosts_.back()->run("program"));
  return outcomes;
}

Outcome SandboxTest::hostile_run(std::string_view name,
                                 std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program_path(name));
  return run(std::move(arguments));
}

void SandboxTest::expect_control_job() {
  const Outcome out = run({"/bin/sh", "-c", "echo fine"});
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result, "\"fine\"");
}

std::string text_of(const Outcome& outcome) {
  const Json result = Json::parse(outcome.result, nullptr, false);
  return result.is_string() ? result.get<std::string>() : outcome.result;
}

std::map<std::string, std::string> answers(const std::string& text) {
  std::map<std::string, std::string> all;
  std::istringstream lines(text);
  for (std::string what, answer; lines >> what >> answer;) all[what] = answer;
  return all;
}

std::vector<pid_t> programs_below(pid_t server) {
  std::vector<pid_t> found;
  for (const pid_t child : children_of(server)) {
    const std::string name = text_of_file("/proc/" + std::to_string(child) + "/comm");
    if (!name.starts_with("carrel-") && exists(child)) found.push_back(child);
    const auto below = programs_below(child);
    found.insert(found.end(), below.begin(), below.end());
  }
  return found;
}

process::UniqueFd bind_unix(const std::string& name, int type) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  if (name[0] == '@') address.sun_path[0] = '\0';
  process::UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  if (type == SOCK_STREAM) {
    EXPECT_EQ(listen(fd.get(), 4), 0);
  }
  if (name[0] != '@') chmod(name.c_str(), 0777);
  return fd;
}

std::optional<std::string> lacking(const SandboxProfile& profile) {
  KindSpec kind = program("probe", {"/bin/true"});
  kind.sandbox = profile;
  try {
    Host host("exec", {kind});
    return std::nullopt;
  } catch (const std::exception& e) {
    return e.what();
  }
}

bool machine_has(const SandboxProfile& profile) {
  if (profile.tier == SandboxTier::kFull) return false;
  if (sandbox::is_root_alone(profile.user)) return false;
  return has_landlock() && (profile.tier == SandboxTier::kRestricted || has_namespaces());
}

}  // namespace carrel::test

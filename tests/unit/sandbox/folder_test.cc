// What goes into a sandbox, what comes out of it, and what cannot begin.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "sandbox_test.h"

namespace carrel::test {
namespace {

class SandboxFolder : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    folder_ = std::filesystem::temp_directory_path() /
              ("carrel-programs-" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
    chmod(folder_.c_str(), 0755);
    profile.mounts.push_back({folder_, "/programs", true});
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    SandboxTest::TearDown();
  }
  std::string file(const char* name, const std::string& content, mode_t mode) {
    std::ofstream(folder_ / name) << content;
    chmod((folder_ / name).c_str(), mode);
    return std::string("/programs/") + name;
  }
  void expect_spawn_error(std::vector<std::string> command, int error) {
    const std::string name = command[0];
    const Outcome out = run(std::move(command));
    EXPECT_EQ(out.klass, OutcomeClass::kSpawnError) << name << ": " << out.error.message;
    EXPECT_EQ(out.error.native, error) << name << ": " << out.error.message;
  }
  std::filesystem::path folder_;
};

TEST_F(SandboxFolder, Case66_NamesThatLeadOut_Refused) {
  REQUIRE_SANDBOX(profile);
  profile.files_in = "files";
  for (const char* name : {"../x", "/x", "a/../../x", "", "a//b", "."}) {
    const Json args{{"files", {{name, "text"}}}};
    try {
      start({"/bin/true"}, args.dump());
      ADD_FAILURE() << name << " was taken";
    } catch (const std::exception& e) {
      EXPECT_NE(std::string(e.what()).find("leads out"), std::string::npos) << e.what();
    }
  }
}

// The arguments are wrong, and not the machine.
TEST_F(SandboxFolder, NamesThatCannotAllBe_Refused) {
  REQUIRE_SANDBOX(profile);
  profile.files_in = "files";
  const auto refusal = [&](const Json& files) -> std::string {
    try {
      start({"/bin/true"}, Json{{"files", files}}.dump());
    } catch (const std::exception& e) {
      return e.what();
    }
    return "none";
  };
  const auto says = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  const auto both = refusal({{"a/b", "x"}, {"a/b/c/d", "y"}});
  EXPECT_TRUE(says(both, "\"a/b\" both as a file and as a folder")) << both;
  const auto longer = refusal({{"a/" + std::string(256, 'n'), "x"}});
  EXPECT_TRUE(says(longer, "a file name that is too long: \"a/nnn")) << longer;
  EXPECT_EQ(refusal({{"a/" + std::string(255, 'n'), "x"}, {"a.b", "y"}}), "none");
  const auto coded = refusal({{"a", {{"base64", "!!"}}}});
  EXPECT_TRUE(says(coded, "no base64 for \"a\"")) << coded;
}

TEST_F(SandboxFolder, Case60_MissingNotExecutableGarbageEmptyBadInterpreterDirectory) {
  REQUIRE_SANDBOX(profile);
  expect_spawn_error({"/no/such/program"}, ENOENT);
  expect_spawn_error({"no-such-program-anywhere"}, ENOENT);
  expect_spawn_error({file("plain", "#!/bin/sh\n", 0644)}, EACCES);
  expect_spawn_error({file("garbage", "\x01\x02\x03 not a program", 0755)}, ENOEXEC);
  expect_spawn_error({file("empty", "", 0755)}, ENOEXEC);
  expect_spawn_error({file("interpreter", "#!/no/such/shell\n", 0755)}, ENOENT);
  expect_spawn_error({"/programs"}, EACCES);
  spec.cwd = "/no/such/folder";
  expect_spawn_error({"/bin/true"}, ENOENT);
}

TEST_F(SandboxFolder, Case61_Mode111ElfRuns_Mode111ScriptInterpreterError) {
  REQUIRE_SANDBOX(profile);
  std::filesystem::copy_file(hostile("count_input"), folder_ / "only_x");
  chmod((folder_ / "only_x").c_str(), 0111);
  EXPECT_EQ(run({"/programs/only_x"}, "12345").result, "5");
  const Outcome script = run({file("script", "#!/bin/sh\necho 1\n", 0111)});
  EXPECT_EQ(script.klass, OutcomeClass::kExitNonzero) << script.error.message;
}

TEST_F(SandboxFolder, Case62_LongArgumentOrEnvironment_E2BIG) {
  REQUIRE_SANDBOX(profile);
  expect_spawn_error({"/bin/true", std::string(140'000, 'a')}, E2BIG);
  spec.env = {{"BIG", std::string(200'000, 'e')}};
  expect_spawn_error({"/bin/true"}, E2BIG);
  spec.env = {{"BIG", std::string(100'000, 'e')}};
  EXPECT_EQ(run({"sh", "-c", "echo ${#BIG}"}).result, "100000");
}

TEST_F(SandboxFolder, Case63_AddressSpaceOneMB_SignaledNotSpawnError) {
  REQUIRE_SANDBOX(profile);
  profile.address_space = 1U << 20;
  const Outcome out = hostile_run("large_data");
  EXPECT_EQ(out.klass, OutcomeClass::kSignaled) << out.error.message;
  EXPECT_EQ(out.signal, SIGSEGV);
  // A small one is loaded, and then its own loader has no room for its libraries.
  EXPECT_EQ(run({"/bin/true"}).klass, OutcomeClass::kExitNonzero);
}

TEST_F(SandboxFolder, Case64_LargeInputReadOrIgnored_NoGrowthInTheHost) {
  REQUIRE_SANDBOX(profile);
  REQUIRE_ROOM_FOR_LARGE_INPUT();
  for (const bool reads : {true, false}) {
    std::string payload(kLargeInput, 'x');
    const Growth growth;
    const char* program = reads ? "/hostile/count_input" : "/hostile/deaf";
    const Outcome out =
        start({program, "20"}, std::move(payload)).sink->wait(4 * kPatience);
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
    if (reads) {
      EXPECT_EQ(out.result, std::to_string(kLargeInput));
    }
    EXPECT_LT(growth.most(), 64U << 20) << reads;
  }
}

}  // namespace
}  // namespace carrel::test

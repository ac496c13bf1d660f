// Programs that cannot be started: a clear error with the program's name and errno.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "process_test.h"

namespace carrel::test {
namespace {

class ExecSpawnTest : public ProcessTest {
 protected:
  void SetUp() override {
    ProcessTest::SetUp();
    folder_ = std::filesystem::temp_directory_path() /
              ("carrel-spawn-" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    ProcessTest::TearDown();
  }

  std::string file(const char* name, const std::string& content, mode_t mode) {
    const std::string path = folder_ / name;
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
    return path;
  }
  void expect_spawn_error(std::vector<std::string> command, int error) {
    const std::string name = command[0];
    const Outcome out = exec_host(std::move(command)).run("program", "{}");
    EXPECT_EQ(out.klass, OutcomeClass::kSpawnError) << name;
    EXPECT_EQ(out.error.native, error) << name << ": " << out.error.message;
    EXPECT_NE(out.error.message.find(name), std::string::npos) << out.error.message;
  }

  std::filesystem::path folder_;
};

TEST_F(ExecSpawnTest, Case60_WhatIsNoProgram_SpawnErrorWithErrno) {
  expect_spawn_error({"/no/such/program"}, ENOENT);
  expect_spawn_error({"no-such-program-anywhere"}, ENOENT);
  expect_spawn_error({file("plain", "#!/bin/sh\n", 0644)}, EACCES);
  expect_spawn_error({file("garbage", "\x01\x02\x03 not a program", 0755)}, ENOEXEC);
  expect_spawn_error({file("empty", "", 0755)}, ENOEXEC);
  expect_spawn_error({file("interpreter", "#!/no/such/shell\n", 0755)}, ENOENT);
  expect_spawn_error({folder_}, EACCES);
}

TEST_F(ExecSpawnTest, Case61_Mode111ElfRuns_Mode111ScriptInterpreterError) {
  const std::string path = folder_ / "only_x";
  std::filesystem::copy_file(hostile("count_input"), path);
  chmod(path.c_str(), 0111);
  const Outcome out = exec_host({path}).run("program", "12345");
  EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  EXPECT_EQ(out.result, "5");
  const Outcome script =
      exec_host({file("script", "#!/bin/sh\necho 1\n", 0111)}).run("program");
  if (geteuid() == 0) {
    EXPECT_EQ(script.result, "1") << "root's interpreter can read it";
  } else {
    EXPECT_EQ(script.klass, OutcomeClass::kExitNonzero) << script.error.message;
  }
}

TEST_F(ExecSpawnTest, Case62_TooLongArgumentOrEnvironment_E2BIG) {
  expect_spawn_error({"/bin/true", std::string(140'000, 'a')}, E2BIG);
  const Outcome out =
      exec_host({"/bin/true"}, {{"BIG", std::string(200'000, 'e')}}).run("program");
  EXPECT_EQ(out.klass, OutcomeClass::kSpawnError);
  EXPECT_EQ(out.error.native, E2BIG);
  // Long, but not too long: it travels as a file in memory.
  Host& host =
      exec_host({"sh", "-c", "echo ${#BIG}"}, {{"BIG", std::string(100'000, 'e')}});
  EXPECT_EQ(host.run("program").result, "100000");
}

TEST_F(ExecSpawnTest, AFolderThatCannotBeEnteredIsNamed) {
  const Outcome out = exec_host({"/bin/true"}, {}, "/no/such/folder").run("program");
  EXPECT_EQ(out.klass, OutcomeClass::kSpawnError);
  EXPECT_EQ(out.error.native, ENOENT);
  EXPECT_NE(out.error.message.find("working folder"), std::string::npos)
      << out.error.message;
}

TEST_F(ExecSpawnTest, AProgramThatComesLaterIsFound) {
  Host& host = exec_host({"later"}, {{"PATH", folder_}});
  EXPECT_EQ(host.run("program").klass, OutcomeClass::kSpawnError);
  file("later", "#!/bin/sh\necho 5\n", 0755);
  EXPECT_EQ(host.run("program").result, "5");
}

TEST_F(ExecSpawnTest, AKindWithoutACommandIsRefusedByName) {
  try {
    Host host("exec", {program("grade", {})});
    FAIL() << "it was taken";
  } catch (const std::exception& e) {
    EXPECT_NE(std::string(e.what()).find("grade"), std::string::npos) << e.what();
  }
}

TEST_F(ExecSpawnTest, Case29_HostOutOfDescriptors_ResourceErrorAndNothingLeaked) {
  Host& host = exec_host({"/bin/true"});
  EXPECT_EQ(host.run("program").klass, OutcomeClass::kOk);
  // Room for some of the pipes of a job, but not for all.
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const auto room = static_cast<rlim_t>(open_descriptors(getpid())) + 5;
  const rlimit low{room, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &low);
  const Outcome out = host.run("program");
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(out.klass, OutcomeClass::kResourceError);
  EXPECT_EQ(out.error.native, EMFILE);
  EXPECT_EQ(host.run("program").klass, OutcomeClass::kOk);
}

}  // namespace
}  // namespace carrel::test

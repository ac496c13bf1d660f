// What the programs of the examples say of their command lines, and when.
#include "trial/program.h"

#include <gtest/gtest.h>
#include <trial/scratch.h>

#include <CLI/CLI.hpp>
#include <filesystem>

namespace trial {
namespace {

namespace fs = std::filesystem;

std::optional<int> parsed(std::vector<const char*> argv) {
  CLI::App app("an example");
  int count = 0;
  app.add_option("--count", count);
  return parse(app, static_cast<int>(argv.size()), const_cast<char**>(argv.data()));
}

TEST(Program, WhatIsWrongInTheOptionsIsExitCode2) {
  EXPECT_EQ(parsed({"p"}), std::nullopt);
  EXPECT_EQ(parsed({"p", "--count", "3"}), std::nullopt);
  EXPECT_EQ(parsed({"p", "--help"}), 0);
  EXPECT_EQ(parsed({"p", "--count", "x"}), 2);
  EXPECT_EQ(parsed({"p", "--nonsense"}), 2);
}

TEST(Program, AFileThatCannotBeWrittenIsSaidBeforeTheWork) {
  const Folder folder("carrel-program");
  const std::string fresh = folder.path() / "new.html", old = folder.path() / "old.json";
  ASSERT_TRUE(write_file(old, "kept"));
  EXPECT_TRUE(check({fresh, old, "", "/dev/null"}, {}));
  EXPECT_FALSE(fs::exists(fresh));
  EXPECT_EQ(content_of(old), "kept");
  const std::string nowhere = folder.path() / "none" / "x.html";
  const auto refused = check({fresh, nowhere}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "cannot write " + nowhere + ": No such file or directory");
  EXPECT_FALSE(check({folder.path()}, {})) << "a folder is no file";
}

TEST(Program, AStoreThatCannotBeOpenedIsSaidBeforeTheWork) {
  EXPECT_TRUE(check({}, {"memory:"}));
  EXPECT_FALSE(check({}, {"memory:", "nonsense:"}));
}

TEST(Program, TheSameRunHasItsOptionsAndNoSecrets) {
  const std::vector<const char*> argv = {"/x/p",
                                         "--quick",
                                         "--html",
                                         "my page.html",
                                         "--store",
                                         "memory:",
                                         "--store=postgresql://u:word@h/d",
                                         "--store",
                                         "mysql://u:word@h/d",
                                         "--secret-key",
                                         "word",
                                         "--secret-key=word",
                                         "--files",
                                         "it's"};
  EXPECT_EQ(same_run("p", static_cast<int>(argv.size()), argv.data()),
            "examples/run p --quick --html 'my page.html' --store memory: "
            "'--store=postgresql://u:***@h/d' --store 'mysql://u:***@h/d' "
            "--secret-key '***' '--secret-key=***' --files 'it'\\''s'");
}

}  // namespace
}  // namespace trial

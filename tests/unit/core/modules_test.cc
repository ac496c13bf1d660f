#include "modules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace carrel {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

class Modules : public testing::Test {
 protected:
  Modules() {
    std::string name = (fs::temp_directory_path() / "carrel_modules_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Modules() override {
    unsetenv("CARREL_MODULE_PATH");
    fs::remove_all(folder_);
  }
  fs::path folder_;
};

TEST_F(Modules, LooksInTheVariableFirst) {
  setenv("CARREL_MODULE_PATH", "/first::/second/./x:/first", 1);
  const auto folders = module_folders();
  ASSERT_GE(folders.size(), 3u);
  EXPECT_EQ(folders[0], "/first");
  EXPECT_EQ(folders[1], "/second/x");
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
  EXPECT_EQ(folders[2], program);
  EXPECT_THAT(folders, Contains(program / "lib/carrel"));
  EXPECT_THAT(folders, Contains(program.parent_path() / "lib/carrel"));
}

// How the programs of a build tree find what was built beside them, without a path of it
// in any library.
TEST_F(Modules, LooksWhereTheProgramWasLinkedToLook) {
  fs::path build = fs::read_symlink("/proc/self/exe");
  while (build.has_relative_path() && !fs::exists(build / "CMakeCache.txt")) {
    build = build.parent_path();
  }
  ASSERT_TRUE(build.has_relative_path()) << "this program is in no build tree";
  EXPECT_THAT(module_folders(), Contains(build / "lib/carrel"));
}

TEST_F(Modules, AMissingModuleNamesEveryFolderTried) {
  setenv("CARREL_MODULE_PATH", folder_.c_str(), 1);
  const auto module = find_module("libcarrel_none.so", "none+tcp");
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code, Code::kUnsupported);
  for (const auto& folder : module_folders()) {
    EXPECT_THAT(module.error().message,
                HasSubstr((folder / "libcarrel_none.so").string()));
  }
  EXPECT_THAT(module.error().message,
              AllOf(HasSubstr("none+tcp"), HasSubstr("CARREL_MODULE_PATH")));
}

TEST_F(Modules, AModuleIsFoundByTheSchemeItShips) {
  // The good plugin stands in for a module that was built without this scheme.
  fs::copy(PLUGIN_GOOD, folder_ / "libcarrel_zmq.so");
  setenv("CARREL_MODULE_PATH", folder_.c_str(), 1);
  Registry registry;
  const auto factory = registry.store("zmq+ipc");
  ASSERT_FALSE(factory);
  EXPECT_THAT(factory.error().message,
              AllOf(HasSubstr("libcarrel_zmq.so"), HasSubstr("built without"),
                    HasSubstr("zmq+ipc")));
  EXPECT_TRUE(registry.store("good")) << "it was not loaded";
  const auto queue = registry.queue("zmq+ipc");
  ASSERT_FALSE(queue);
  EXPECT_THAT(queue.error().message, HasSubstr("built without"));
}

TEST_F(Modules, APluginAddsToTheRegistryAndStaysLoaded) {
  StoreFactory kept;
  {
    Registry registry;
    ASSERT_TRUE(registry.load(PLUGIN_GOOD));
    EXPECT_THAT(registry.store_schemes(), Contains("good"));
    EXPECT_TRUE(registry.isolation("padded_cell"));
    kept = **registry.store("good");
  }
  const auto made = kept(*Url::parse("good:x"), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "the plugin saw good:x");
}

TEST_F(Modules, StrangersAreRefused) {
  Registry registry;
  const auto text = folder_ / "text.so";
  std::ofstream(text) << "no shared library";
  struct Case {
    fs::path file;
    Code code;
    const char* says;
  };
  for (const Case& c : {Case{PLUGIN_OTHER_VERSION, Code::kUnsupported, "version 7000"},
                        Case{PLUGIN_NO_PLUGIN, Code::kUnsupported, "no plugin"},
                        Case{PLUGIN_THROWING, Code::kInternal, "no licence found"},
                        Case{folder_ / "absent.so", Code::kNotFound, "no such file"},
                        Case{text, Code::kUnsupported, "file too short"}}) {
    const auto loaded = registry.load(c.file);
    ASSERT_FALSE(loaded) << c.file;
    EXPECT_EQ(loaded.error().code, c.code) << loaded.error().message;
    EXPECT_THAT(loaded.error().message,
                AllOf(HasSubstr(c.file.string()), HasSubstr(c.says)));
  }
  EXPECT_TRUE(registry.store_schemes().empty());
}

}  // namespace
}  // namespace carrel

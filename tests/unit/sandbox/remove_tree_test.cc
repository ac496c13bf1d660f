#include "remove_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace carrel::sandbox {
namespace {

namespace fs = std::filesystem;

class RemoveTree : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "carrel-tree-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    outside_ = name;
    tree_ = outside_ / "tree";
    fs::create_directory(tree_);
  }
  void TearDown() override { remove_tree(outside_); }

  static void fill(const fs::path& folder, int files) {
    fs::create_directories(folder);
    for (int i = 0; i < files; ++i) std::ofstream(folder / std::to_string(i)) << i;
  }

  fs::path outside_;
  fs::path tree_;
  bool moved_ = false;
};

TEST_F(RemoveTree, WideAndOfAnyMode) {
  for (int i = 0; i < 300; ++i) fill(tree_ / "wide" / std::to_string(i), 2);
  fill(tree_ / "wide" / "0" / "locked", 3);
  chmod((tree_ / "wide" / "0" / "locked").c_str(), 0);
  chmod((tree_ / "wide" / "0").c_str(), 0500);
  fs::create_symlink(outside_, tree_ / "link");
  mkfifo((tree_ / "pipe").c_str(), 0600);
  remove_tree(tree_);
  EXPECT_FALSE(fs::exists(tree_));
  EXPECT_TRUE(fs::exists(outside_));
}

// Deeper than there are descriptors, and than a path may be long; with names on top that
// are those that it gives itself.
TEST_F(RemoveTree, DeepAndWithNamesThatAreTaken) {
  std::ofstream(tree_ / "carrel-0") << "a file";
  fill(tree_ / "carrel-1", 1);
  int at = open(tree_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int depth = 0; depth < 5000; ++depth) {
    ASSERT_EQ(mkdirat(at, "d", 0700), 0);
    ASSERT_EQ(mkdirat(at, "beside", 0700), 0);
    const int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(next, 0);
    close(at);
    at = next;
  }
  close(at);
  remove_tree(tree_);
  EXPECT_FALSE(fs::exists(tree_));
}

// As another process of the same user could.
TEST_F(RemoveTree, AFolderIsMovedOutMeanwhile_NothingBesideItIsTouched) {
  fill(outside_ / "precious", 3);
  const fs::path inner = tree_ / "a" / "n";
  constexpr int kFiles = 20'000;
  fill(inner, kFiles);
  std::thread mover([&] {
    struct stat first {};
    struct stat last {};
    // Until it is being emptied.
    while (lstat((inner / "0").c_str(), &first) == 0 &&
           lstat((inner / std::to_string(kFiles - 1)).c_str(), &last) == 0) {
    }
    std::error_code gone;
    fs::rename(inner, outside_ / "n", gone);
    moved_ = !gone;
  });
  remove_tree(tree_);
  mover.join();
  if (!moved_) GTEST_SKIP() << "it was through before the folder could be moved";
  EXPECT_EQ(std::distance(fs::directory_iterator(outside_ / "precious"), {}), 3);
}

}  // namespace
}  // namespace carrel::sandbox

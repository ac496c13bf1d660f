// What a forked child has to ask the kernel for before it runs code that its parent has
// run.
#include "inherited_text.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "support.h"

namespace carrel::test {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool kReadsAreWritten = true;  // in memory of the sanitizer's own
#else
constexpr bool kReadsAreWritten = false;
#endif

using Pieces = std::vector<const volatile char*>;

// One address in each 64 KiB, which the kernel maps at once, of the text of this program
// and its libraries.
Pieces pieces_of_text() {
  constexpr std::uintptr_t kPiece = 64 * 1024;
  Pieces pieces;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    if (line.find(" r-xp ") == line.npos || line.find('/') == line.npos ||
        std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &begin, &end) != 2) {
      continue;
    }
    for (std::uintptr_t at = begin; at < end; at += kPiece) {
      pieces.push_back(reinterpret_cast<const volatile char*>(at));
    }
  }
  return pieces;
}

void read_all(const Pieces& pieces) {
  for (const auto* piece : pieces) (void)*piece;
}

// Page faults of a child that reads each of these: 255, if there are more.
long faults_in_child(const Pieces& pieces) {
  return status_in_child([&] {
    rusage before{};
    rusage after{};
    getrusage(RUSAGE_SELF, &before);
    read_all(pieces);
    getrusage(RUSAGE_SELF, &after);
    return static_cast<int>(std::min(after.ru_minflt - before.ru_minflt, 255L));
  });
}

constexpr int kNotAllowed = 2;
constexpr std::uintptr_t kPage = 4096;
constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

// Of text: a sanitizer has ever more of others.
std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" r-xp ") != line.npos) ++count;
  }
  return count;
}

// Of what faults_in_child() can say.
long bound(const Pieces& pieces) {
  return std::min(static_cast<long>(pieces.size()), 255L);
}

class InheritedTextTest : public testing::Test {
 protected:
  void SetUp() override {
    if (kReadsAreWritten) GTEST_SKIP() << "the thread sanitizer counts, too";
    const int allowed = status_in_child(
        [] { return process::InheritedText().bequeath(kAny) ? 0 : kNotAllowed; });
    if (allowed == kNotAllowed) {
      GTEST_SKIP() << "this kernel does not let a process write to its own text "
                      "(/proc/self/mem)";
    }
  }
};

TEST_F(InheritedTextTest, IsNotAskedForAgain) {
  EXPECT_EQ(status_in_child([] {
              const Pieces pieces = pieces_of_text();
              read_all(pieces);
              const long before = faults_in_child(pieces);
              process::InheritedText text;
              read_all(pieces);
              text.bequeath(kAny);
              return faults_in_child(pieces) < before / 4 ? 0 : 1;
            }),
            0);
}

TEST_F(InheritedTextTest, WhatWasUsedBefore_IsForgotten) {
  EXPECT_EQ(status_in_child([] {
              const Pieces pieces = pieces_of_text();
              read_all(pieces);
              process::InheritedText().bequeath(kAny);
              return faults_in_child(pieces) > bound(pieces) / 2 ? 0 : 1;
            }),
            0);
}

TEST_F(InheritedTextTest, ItIsThePageThatWasUsed_WithoutItsNeighbours) {
  EXPECT_EQ(status_in_child([] {
              const Pieces pieces = pieces_of_text();
              process::InheritedText text;
              read_all(pieces);
              text.bequeath(kAny);
              Pieces neighbours;
              for (const auto* piece : pieces) neighbours.push_back(piece + kPage);
              return faults_in_child(neighbours) > bound(pieces) / 2 ? 0 : 1;
            }),
            0);
}

TEST_F(InheritedTextTest, MappingsAreWholeAgain) {
  EXPECT_EQ(status_in_child([] {
              const std::size_t before = mappings();
              process::InheritedText text;
              const std::size_t parted = mappings();
              text.bequeath(kAny);
              return parted > 2 * before && mappings() == before ? 0 : 1;
            }),
            0);
}

TEST_F(InheritedTextTest, IsLeftAloneWhereItIsMuch) {
  EXPECT_EQ(status_in_child([] {
              const Pieces pieces = pieces_of_text();
              process::InheritedText text;
              read_all(pieces);
              const bool changed = text.bequeath(0);
              return !changed && faults_in_child(pieces) > bound(pieces) / 4 ? 0 : 1;
            }),
            0);
}

// A debugger's breakpoint.
TEST_F(InheritedTextTest, WhatIsThisProcessesOwn_Stays) {
  EXPECT_EQ(status_in_child([] {
              auto* const at = reinterpret_cast<const volatile char*>(&pieces_of_text);
              const int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
              const char other = static_cast<char>(*at ^ 1);
              if (pwrite(memory, &other, 1, reinterpret_cast<off_t>(at)) != 1) return 3;
              process::InheritedText text;
              if (*at != other) return 4;
              text.bequeath(kAny);
              return *at == other ? 0 : 5;
            }),
            0);
}

}  // namespace
}  // namespace carrel::test

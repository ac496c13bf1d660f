// What a forked child has to ask the kernel for before it runs code that its parent has
// run.
#include "inherited_text.h"

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

namespace carrel::test {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool kReadsAreWritten = true;  // in memory of the sanitizer's own
#else
constexpr bool kReadsAreWritten = false;
#endif

// One address in each 64 KiB, which the kernel maps at once, of the text of this program
// and its libraries.
std::vector<const volatile char*> pieces_of_text() {
  constexpr std::uintptr_t kPiece = 64 * 1024;
  std::vector<const volatile char*> pieces;
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

// Page faults of a child that reads each of these, which this process has read: 255, if
// there are more.
long faults_of_a_child(const std::vector<const volatile char*>& pieces) {
  for (const auto* piece : pieces) (void)*piece;
  const pid_t pid = fork();
  if (pid == 0) {
    rusage before{};
    rusage after{};
    getrusage(RUSAGE_SELF, &before);
    for (const auto* piece : pieces) (void)*piece;
    getrusage(RUSAGE_SELF, &after);
    _exit(static_cast<int>(std::min(after.ru_minflt - before.ru_minflt, 255L)));
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

constexpr int kNotAllowed = 2;

// `most` as of let_children_inherit_text(). In a process of its own: it stays as it is.
int status_after(std::size_t most, bool (*as_expected)(long before, long after)) {
  const pid_t pid = fork();
  if (pid == 0) {
    const auto pieces = pieces_of_text();
    const long before = faults_of_a_child(pieces);
    const bool changed = process::let_children_inherit_text(most);
    const long after = faults_of_a_child(pieces);
    std::printf("%zu pieces, %ld faults before, %ld after\n", pieces.size(), before,
                after);
    std::fflush(stdout);
    if (most > 0 && !changed) _exit(kNotAllowed);
    _exit(as_expected(before, after) ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status);
}

TEST(InheritedText, IsNotAskedForAgain) {
  if (kReadsAreWritten) GTEST_SKIP() << "the thread sanitizer counts, too";
  const int status =
      status_after(std::numeric_limits<std::size_t>::max(),
                   [](long before, long after) { return after < before / 4; });
  if (status == kNotAllowed) {
    GTEST_SKIP() << "this kernel does not let a process write to its own text "
                    "(/proc/self/mem)";
  }
  EXPECT_EQ(status, 0);
}

TEST(InheritedText, IsLeftAloneWhereItIsMuch) {
  if (kReadsAreWritten) GTEST_SKIP() << "the thread sanitizer counts, too";
  EXPECT_EQ(status_after(0, [](long before,
                               long after) { return before > 2 && after >= before - 2; }),
            0);
}

}  // namespace
}  // namespace carrel::test

// The filter of system calls by itself, for kernels other than this one.
#include "filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace carrel::sandbox {
namespace {

bool filter_self(const std::string& filter) {
  sock_fprog program{static_cast<unsigned short>(filter.size() / sizeof(sock_filter)),
                     reinterpret_cast<sock_filter*>(const_cast<char*>(filter.data()))};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

// The first that is not as it should be; 0: all are.
int try_to_cut_off(const char* path) {
  const auto fails = [](long result, int error) { return result < 0 && errno == error; };
  if (!fails(truncate(path, 0), EPERM)) return 1;
  if (!fails(open(path, O_RDONLY | O_TRUNC), EPERM)) return 2;
  if (!fails(syscall(SYS_openat, AT_FDCWD, path, O_ACCMODE | O_TRUNC), EPERM)) return 3;
#ifdef SYS_open
  if (!fails(syscall(SYS_open, path, O_RDONLY | O_TRUNC), EPERM)) return 4;
#endif
  open_how how{};
  if (!fails(syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how), ENOSYS)) return 5;
  // What is opened for writing Landlock has looked at.
  const int file = open(path, O_WRONLY | O_TRUNC);
  if (file < 0 || ftruncate(file, 1) != 0) return 6;
  return open(path, O_RDONLY) < 0 ? 7 : 0;
}

// Before version 3 Landlock lets a file be cut off that may only be read.
TEST(SandboxFilter, WhereLandlockKnowsNoTruncation_Refused) {
  const auto filter = compile_filter(SandboxSyscalls::kDefault, SandboxNetwork::kNone,
                                     {false, false, false});
  ASSERT_TRUE(filter) << filter.error().message;
  const std::string path =
      std::filesystem::temp_directory_path() / ("carrel-cut-" + std::to_string(getpid()));
  close(open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  const pid_t pid = fork();
  if (pid == 0) _exit(filter_self(*filter) ? try_to_cut_off(path.c_str()) : 100);
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  std::filesystem::remove(path);
}

// Before version 6 Landlock keeps nobody from them, and they are of the host's network.
TEST(SandboxFilter, WhereLandlockKnowsNoScope_NoUnixSocketsInTheHostsNetwork) {
  const auto filter =
      compile_filter(SandboxSyscalls::kDefault, SandboxNetwork::kHost,
                     {.namespaces = true, .unix_scope = false, .truncation = true});
  ASSERT_TRUE(filter) << filter.error().message;
  const pid_t pid = fork();
  if (pid == 0) {
    if (!filter_self(*filter)) _exit(100);
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EACCES) _exit(1);
    _exit(socket(AF_INET, SOCK_STREAM, 0) < 0 ? 2 : 0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace carrel::sandbox

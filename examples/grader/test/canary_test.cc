// What escapes is seen: each kind of escape, made by the test itself.
#include "canary.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <trial/scratch.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "bare.h"

namespace grader {
namespace {

namespace fs = std::filesystem;

class CanaryTest : public testing::Test {
 protected:
  // "FOLDER PORT" of the canary, as a submission sees them.
  std::pair<fs::path, int> aim() const {
    std::istringstream text(canary_.aimed({"", "", "", "@CANARY@ @PORT@"}).source);
    std::string path;
    int port = 0;
    text >> path >> port;
    return {path, port};
  }

  trial::Folder folder_{"carrel-canary"};
  Canary canary_{folder_.path(), fs::path(GRADER_FILES) / "problems" / "sum",
                 Submission{"test.py", "sum", "python", ""}};
};

TEST_F(CanaryTest, WhereNothingHappensNothingEscaped) {
  EXPECT_FALSE(canary_.look("42").any());
}

TEST_F(CanaryTest, ASecretThatIsRecordedIsSeen) {
  std::ifstream in(aim().first / "secret");
  std::string secret;
  in >> secret;
  EXPECT_TRUE(canary_.look("it printed " + secret + ", so").read);
}

TEST_F(CanaryTest, AFileThatIsChangedOrNewIsSeen) {
  std::ofstream(aim().first / "planted") << "";
  EXPECT_TRUE(canary_.look("").wrote);
  fs::remove(aim().first / "planted");
  EXPECT_FALSE(canary_.look("").wrote);
  std::ofstream(aim().first / "marks.csv", std::ios::app) << "me,100\n";
  EXPECT_TRUE(canary_.look("").wrote);
}

TEST_F(CanaryTest, AConnectionIsSeenAlsoWhereItIsClosed) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(aim().second));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int line = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(line, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  ::close(line);
  EXPECT_EQ(canary_.look("").connections, 1u);
}

TEST_F(CanaryTest, AProcessThatLivesOnIsCountedAndEnded) {
  const std::string mark = std::string(kMark) + "=test.py";
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const char* const argv[] = {"sleep", "120", nullptr};
    const char* const env[] = {mark.c_str(), nullptr};
    ::execve("/usr/bin/sleep", const_cast<char**>(argv), const_cast<char**>(env));
    ::_exit(1);
  }
  ::close(ready[1]);
  char end = 0;
  EXPECT_EQ(::read(ready[0], &end, 1), 0);  // it was executed
  ::close(ready[0]);
  EXPECT_EQ(canary_.look("").processes, 1u);
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

}  // namespace
}  // namespace grader

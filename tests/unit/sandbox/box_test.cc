// A box whose room is this test.
#include "box.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "sandbox_test.h"
#include "wire.h"

namespace carrel::test {
namespace {

class SandboxBox : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    profile.tier = SandboxTier::kRestricted;
  }
  void TearDown() override {
    room.reset();
    host.reset();
    SandboxTest::TearDown();
  }
  void begin() {
    const auto blueprint = sandbox::draw(profile);
    ASSERT_TRUE(blueprint) << blueprint.error().message;
    process::FdPair ends = process::socket_pair(SOCK_SEQPACKET);
    const std::string folder = shared_folder() / "box";
    box_ = fork();
    ASSERT_GE(box_, 0);
    room = std::move(ends.first);
    if (box_ != 0) return;
    room.reset();
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sandbox::run_box(*blueprint, std::move(ends.second), folder);
  }
  // A program that ends at once, and a host that may want its files.
  void ask(bool wants_files = true, std::vector<std::string> command = {"/bin/true"}) {
    process::FdPair files = process::socket_pair(SOCK_SEQPACKET);
    std::string spawn;
    process::Writer words(spawn);
    process::encode(words, command[0], "", command, {});
    const std::string body = sandbox::box_request(spawn, {});
    process::RequestHead head;
    head.ask = process::Ask::kSpawn;
    head.fds = wants_files ? 5 : 4;
    head.inline_bytes = static_cast<std::uint32_t>(body.size());
    std::string request;
    process::Writer(request).put(head);
    request += body;
    const int null = STDIN_FILENO;
    const int fds[] = {null, null, null, null, files.second.get()};
    ASSERT_EQ(process::send_message(room.get(), request, {fds, head.fds}), 0);
    host = std::move(files.first);
  }
  process::Reply answer() const {
    process::Reply reply;
    pollfd readable{room.get(), POLLIN, 0};
    EXPECT_EQ(poll(&readable, 1, -1), 1);
    EXPECT_EQ(recv(room.get(), &reply, sizeof reply, 0),
              static_cast<ssize_t>(sizeof reply));
    return reply;
  }
  bool ended() const { return waitpid(box_, nullptr, WNOHANG) == box_; }
  pid_t box() const { return box_; }

  process::UniqueFd room;
  process::UniqueFd host;

 private:
  pid_t box_ = -1;
};

TEST_F(SandboxBox, ThatWaitsForAJobEndsWithItsRoom) {
  REQUIRE_SANDBOX(profile);
  begin();
  EXPECT_TRUE(eventually([&] { return sleeps(box()); }));
  EXPECT_FALSE(ended());
  room.reset();
  EXPECT_TRUE(eventually([&] { return ended(); }));
}

TEST_F(SandboxBox, ThatWaitsForTheReaderOfItsFilesEndsWithItsRoom) {
  REQUIRE_SANDBOX(profile);
  begin();
  ask();
  const process::Reply reply = answer();
  EXPECT_EQ(reply.what, process::Reply::What::kEnded);
  EXPECT_EQ(reply.status, 0);
  EXPECT_TRUE(eventually([&] { return sleeps(box()); }));
  EXPECT_FALSE(ended());
  room.reset();
  EXPECT_TRUE(eventually([&] { return ended(); }));
}

TEST_F(SandboxBox, ThatWaitsForTheReaderOfItsFilesEndsWhenThatHasThem) {
  REQUIRE_SANDBOX(profile);
  begin();
  ask();
  answer();
  EXPECT_TRUE(eventually([&] { return sleeps(box()); }));
  EXPECT_FALSE(ended());
  host.reset();
  EXPECT_TRUE(eventually([&] { return ended(); }));
}

// Another process of the sandbox's user may put something else where it was.
TEST_F(SandboxBox, WorksInTheFolderThatItMadeWhateverIsInItsPlace) {
  profile.tier = SandboxTier::kRestricted;
  REQUIRE_SANDBOX(profile);
  begin();
  EXPECT_TRUE(eventually([&] { return sleeps(box()); }));
  const auto folder = shared_folder() / "box";
  std::filesystem::rename(folder, shared_folder() / "moved");
  std::filesystem::create_directory(shared_folder() / "other");
  chmod((shared_folder() / "other").c_str(), 0777);
  std::filesystem::create_symlink("other", folder);
  ask(false, {"/usr/bin/touch", "made"});
  process::Reply reply;
  pollfd readable{room.get(), POLLIN, 0};
  ssize_t size = 1;
  while (size > 0 && size != sizeof reply && poll(&readable, 1, -1) == 1) {
    size = recv(room.get(), &reply, sizeof reply, 0);
  }
  EXPECT_EQ(reply.what, process::Reply::What::kEnded);
  EXPECT_EQ(reply.status, 0);
  EXPECT_TRUE(std::filesystem::exists(shared_folder() / "moved" / "made"));
  EXPECT_TRUE(std::filesystem::exists(shared_folder() / "other"));
  room.reset();
  EXPECT_TRUE(eventually([&] { return ended(); }));
}

// The room must know that what it would wait for is no program.
TEST_F(SandboxBox, WhoseFolderIsTheHostsSaysThatItRemovesItAndThenReports) {
  profile.tier = SandboxTier::kRestricted;
  REQUIRE_SANDBOX(profile);
  begin();
  const auto folder = shared_folder() / "box";
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(folder); }));
  ask(false);
  char word = 0;
  EXPECT_EQ(recv(room.get(), &word, sizeof word, 0), 1);
  EXPECT_EQ(word, sandbox::kClearing);
  EXPECT_EQ(answer().what, process::Reply::What::kEnded);
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_TRUE(eventually([&] { return ended(); }));
}

}  // namespace
}  // namespace carrel::test

// The program carrel-broker, as a service manager sees it.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "../../fault/child.h"
#include "../sql/sqlite_files.h"
#include "curve.h"
#include "hosted.h"

namespace carrel::zmq {
namespace {

using namespace std::chrono_literals;
using fault::Child;
using testing::HasSubstr;
using testing::StartsWith;

// What a service says to its manager. The test's own socket stands for systemd's.
class Manager {
 public:
  explicit Manager(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    timeval patience{60, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("cannot bind " + path);
    }
  }
  ~Manager() { close(fd_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // The next message that holds `part`.
  std::string hear(const std::string& part) const {
    char buffer[4096];
    for (;;) {
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) return {};
      std::string text(buffer, static_cast<std::size_t>(n));
      if (text.find(part) != std::string::npos) return text;
    }
  }

 private:
  int fd_ = -1;
};

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() : manager_(file("notify")) {
    setenv("NOTIFY_SOCKET", file("notify").c_str(), 1);
    setenv("WATCHDOG_USEC", "200000", 1);
    unsetenv("WATCHDOG_PID");
  }
  ~ProgramTest() override {
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
  }

  std::string file(const std::string& name) const { return directory_.file(name); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
  }
  Child serve() const {
    return Child({BROKER_PROGRAM, "serve", "--config", file("broker.toml")});
  }
  static int code_of(Child& child) {
    const auto status = child.wait_end(60s);
    return status && WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
  }
  std::string url() const { return "zmq+ipc://" + file("sock"); }

  const test::TemporaryDirectory directory_;
  const Manager manager_;
};

TEST_F(ProgramTest, ItIsReadyWhenItServesAndStopsInGoodOrder) {
  write("broker.toml",
        "listen = [\"ipc://" + file("sock") + "\"]\nstore = \"sqlite:jobs.db\"\n");
  Child broker = serve();
  EXPECT_THAT(manager_.hear("READY=1"), HasSubstr("STATUS=listening on ipc://"));
  const auto store = test::open_store(url());
  ASSERT_TRUE(store) << store.error().message;
  const auto ids = test::insert_jobs(**store, 1);
  EXPECT_TRUE(std::filesystem::exists(file("jobs.db"))) << "beside the configuration";
  EXPECT_THAT(manager_.hear("WATCHDOG=1"), HasSubstr("STATUS="));
  broker.signal(SIGTERM);
  EXPECT_THAT(manager_.hear("STOPPING=1"), StartsWith("STOPPING=1"));
  EXPECT_EQ(code_of(broker), 0);
  // The clients do not mind.
  Child next = serve();
  manager_.hear("READY=1");
  EXPECT_EQ((*store)->monitor().job(ids[0]).value().state, State::kAvailable);
}

// Written from PROTOCOL.md alone: what the page says is what the broker does.
TEST_F(ProgramTest, AClientInAnotherLanguageWorks) {
  write("broker.toml",
        "listen = [\"ipc://" + file("sock") + "\"]\nstore = \"memory:\"\n");
  Child broker = serve();
  manager_.hear("READY=1");
  Child client({"/usr/bin/python3", "-B", CLIENT_SCRIPT, "ipc://" + file("sock")});
  EXPECT_EQ(client.wait_line(), "ok");
  EXPECT_EQ(code_of(client), 0);
}

TEST_F(ProgramTest, ASignalReloadsTheKeys) {
  const KeyPair broker_keys = new_keys().value();
  const KeyPair client = new_keys().value();
  for (const auto& [name, keys] :
       {std::pair("broker", broker_keys), {"client", client}}) {
    write(std::string(name) + ".key", "secret = \"" + keys.secret_key + "\"\n");
    chmod(file(std::string(name) + ".key").c_str(), 0600);
  }
  write("keys.toml", "");
  write("broker.toml", "listen = [\"ipc://" + file("sock") +
                           "\"]\nstore = \"memory:\"\nsecret_file = \"broker.key\"\n"
                           "keys_file = \"keys.toml\"\n");
  const std::string mine = url() + "?server_key=" + broker_keys.public_key +
                           "&secret_file=" + file("client.key");
  Child broker = serve();
  manager_.hear("READY=1");
  EXPECT_FALSE(test::open_store(mine));
  write("keys.toml", "[me]\nkey = \"" + client.public_key + "\"\nrole = \"worker\"\n");
  broker.signal(SIGHUP);
  EXPECT_THAT(manager_.hear("RELOADING=1"), HasSubstr("MONOTONIC_USEC="));
  manager_.hear("READY=1");
  const auto store = test::open_store(mine);
  EXPECT_TRUE(store) << store.error().message;
}

TEST_F(ProgramTest, WhatIsWrongInItsFileIsNamedByLine) {
  const auto fails = [&](const std::string& text) {
    write("broker.toml", text);
    Child broker = serve();
    EXPECT_EQ(code_of(broker), 2) << text;
  };
  fails("");
  fails("listen = [\"tcp://0.0.0.0:5555\"]\n");
  fails("listen = \"tcp://127.0.0.1:*\"\n");
  fails("listen = [\"tcp://127.0.0.1:*\"]\nstores = \"memory:\"\n");
  fails("listen = [\"tcp://127.0.0.1:*\"]\n[limits]\nwindow = 0\n");
  fails("listen = [\"tcp://127.0.0.1:*\"]\npoll = 5\n");
}

TEST_F(ProgramTest, KeysNewWritesASecretThatOnlyItsOwnerReads) {
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(std::filesystem::path(file("x")).parent_path());
  Child keys({CARREL_PROGRAM, "keys", "new", "me", "--role", "producer"});
  const std::string table = keys.wait_line();
  const std::string key = keys.wait_line();
  const std::string role = keys.wait_line();
  EXPECT_EQ(code_of(keys), 0);
  Child again({CARREL_PROGRAM, "keys", "new", "me"});
  EXPECT_EQ(code_of(again), 2) << "a key is not overwritten";
  std::filesystem::current_path(here);
  EXPECT_EQ(table, "[me]");
  EXPECT_EQ(role, "role = \"producer\"");
  const auto secret = read_secret(file("me.key"));
  ASSERT_TRUE(secret) << secret.error().message;
  EXPECT_EQ(key, "key = \"" + secret->public_key + "\"");
}

}  // namespace
}  // namespace carrel::zmq

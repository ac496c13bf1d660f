// The program carrel-broker, as a service manager sees it.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <deque>
#include <filesystem>
#include <regex>
#include <sstream>

#include "curve.h"
#include "hosted.h"
#include "program_case.h"
#include "raw_peer.h"

namespace carrel::zmq {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(ProgramTest, ItIsReadyWhenItServesAndStopsInGoodOrder) {
  write("broker.toml",
        "listen = [\"ipc://" + file("sock") + "\"]\nstore = \"sqlite:jobs.db\"\n");
  Child broker = serve();
  EXPECT_THAT(manager_.hear("READY=1"), HasSubstr("STATUS=listening on ipc://"));
  const auto store = test::open_store(url());
  ASSERT_TRUE(store) << store.error().message;
  const auto ids = test::insert_jobs(**store, 1);
  EXPECT_TRUE(std::filesystem::exists(file("jobs.db"))) << "beside the configuration";
  EXPECT_THAT(manager_.hear("STATUS=1 clients, "), StartsWith("WATCHDOG=1\n"));
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

TEST_F(ProgramTest, StatusTellsTheStoresNumbersWhileTheQueueIsAway) {
  write("carrel.toml",
        "store = \"sqlite:jobs.db\"\nqueue = \"zmq+ipc://" + file("sock") + "\"\n");
  Child enqueue({CARREL_PROGRAM, "--config", file("carrel.toml"), "enqueue", "kind"});
  EXPECT_EQ(enqueue.wait_line(), "1");
  EXPECT_EQ(code_of(enqueue), 0) << "a job is one when its row is there";
  Child status({CARREL_PROGRAM, "--config", file("carrel.toml"), "status", "--json"});
  const Json told = Json::parse(status.wait_line());
  EXPECT_EQ(code_of(status), 4);
  EXPECT_EQ(told.at("jobs").at("available"), 1);
  EXPECT_THAT(told.at("queue_error").get<std::string>(), HasSubstr(file("sock")));
}

TEST_F(ProgramTest, ItsUnitIsOneThatSystemdTakes) {
  const char* verifier = "/usr/bin/systemd-analyze";
  if (!std::filesystem::exists(verifier)) GTEST_SKIP() << "needs " << verifier;
  std::ifstream in(BROKER_UNIT);
  std::stringstream unit;
  unit << in.rdbuf();
  // It names the program where it will be installed.
  write("carrel-broker.service",
        std::regex_replace(unit.str(), std::regex("ExecStart=[^ ]+"),
                           "ExecStart=" BROKER_PROGRAM));
  // What it finds it writes to stderr, of this unit and of others.
  Child check({"/bin/sh", "-c", "\"$@\" 2>&1 | grep -F carrel-broker.service", "sh",
               verifier, "verify", file("carrel-broker.service")});
  EXPECT_EQ(check.wait_line(), "");
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
  fails("listen = [\"tcp://127.0.0.1:*\"]\npoll = \"0s\"\n");
  fails("listen = [\"tcp://127.0.0.1:*\"]\npoll = \"9000000h\"\n");
  fails("listen = [\"tcp://127.0.0.1:*\"]\nstore = \"sqlite::memory:\"\n");
  fails("listen = [\"tcp://127.0.0.1:*\"]\n[retention]\ncompleted = \"2000000h\"\n");
  fails(
      "listen = [\"tcp://127.0.0.1:*\"]\n[limits]\nmax_frame = 2097152\nmax_in_flight = "
      "1048576\n");
  fails("listen = [\"tcp://127.0.0.1:*\"]\n[queues.pull]\nlimits = 2\n");
  fails("listen = [\"tcp://127.0.0.1:*\"]\n[queues.pull]\nlimit = \"2\"\n");
}

TEST_F(ProgramTest, ARelativeSocketIsBesideItsFile) {
  write("broker.toml", "listen = [\"ipc://sock\"]\n");
  Child broker = serve();
  EXPECT_THAT(manager_.hear("READY=1"), HasSubstr("ipc://" + file("sock")));
  EXPECT_TRUE(test::open_queue(url()));
}

class DescriptorsTest : public ProgramTest {
 protected:
  // Its log is what it prints.
  Child serve_with(const std::string& limit) const {
    return Child({"/bin/sh", "-c",
                  "ulimit " + limit + "; exec \"$0\" serve --config \"$1\" 2>&1",
                  BROKER_PROGRAM, file("broker.toml")});
  }
  static bool says(Child& broker, const std::string& part) {
    for (;;) {
      const std::string line = broker.wait_line();
      if (line.find(part) != std::string::npos) return true;
      if (line.empty()) return false;
    }
  }
};

TEST_F(DescriptorsTest, ASoftLimitIsNoBoundOfItsClients) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_max < 1'000) GTEST_SKIP() << "needs 1,000 descriptors";
  write("broker.toml", "listen = [\"ipc://sock\"]\n[limits]\nmax_sessions = 500\n");
  Child broker = serve_with("-S -n 64");
  manager_.hear("READY=1");
  std::ifstream limits("/proc/" + std::to_string(broker.pid()) + "/limits");
  std::string line;
  while (std::getline(limits, line) && !line.starts_with("Max open files")) {
  }
  std::istringstream numbers(line.substr(std::string("Max open files").size()));
  unsigned soft = 0;
  EXPECT_TRUE(numbers >> soft) << line;
  EXPECT_GT(soft, 500U);
}

TEST_F(DescriptorsTest, ItSaysThatItHasNone) {
  write("broker.toml", "listen = [\"ipc://sock\"]\nstore = \"memory:\"\n");
  Child broker = serve_with("-n 40");
  EXPECT_THAT(broker.wait_line(), HasSubstr("limits.max_sessions: 10000"));
  manager_.hear("READY=1");
  {
    std::deque<RawPeer> peers;
    for (int i = 0; i < 40; ++i) peers.emplace_back("ipc://" + file("sock"));
    EXPECT_TRUE(says(broker, "no new client gets in: Too many open files"));
  }
  EXPECT_TRUE(test::open_store(url())) << "they are gone";
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
  Child other({CARREL_PROGRAM, "keys", "new", "you", "--json"});
  const Json as_json = Json::parse(other.wait_line());
  EXPECT_EQ(code_of(other), 0);
  std::filesystem::current_path(here);
  EXPECT_EQ(as_json.at("name"), "you");
  EXPECT_EQ(as_json.at("role"), "worker");
  EXPECT_EQ(as_json.at("secret_file"), "you.key");
  EXPECT_EQ(as_json.at("key"), read_secret(file("you.key"))->public_key);
  EXPECT_EQ(table, "[me]");
  EXPECT_EQ(role, "role = \"producer\"");
  const auto secret = read_secret(file("me.key"));
  ASSERT_TRUE(secret) << secret.error().message;
  EXPECT_EQ(key, "key = \"" + secret->public_key + "\"");
}

TEST_F(ProgramTest, KeysNewThatNobodyHearsOfAreNone) {
  const std::string folder = std::filesystem::path(file("x")).parent_path();
  const auto made = [&](const std::string& where) {
    Child keys({"/bin/sh", "-c",
                "cd " + folder + " && exec " CARREL_PROGRAM " keys new me " + where});
    return code_of(keys);
  };
  EXPECT_EQ(made(">/dev/full"), 4);
  EXPECT_EQ(made("--json >/dev/full"), 4);
  EXPECT_FALSE(std::filesystem::exists(file("me.key")));
  EXPECT_EQ(made(">me.toml"), 0) << "it can be tried again";
  EXPECT_TRUE(std::filesystem::exists(file("me.key")));
}

TEST_F(ProgramTest, DoctorTriesTheBrokerThatIsTheQueue) {
  write("broker.toml", "listen = [\"ipc://" + file("sock") + "\"]\n");
  write("carrel.toml", "store = \"sqlite:jobs.db\"\nqueue = \"" + url() + "\"\n");
  Child broker = serve();
  manager_.hear("READY=1");
  Child doctor({"/bin/sh", "-c",
                "exec " CARREL_PROGRAM " --config " + file("carrel.toml") +
                    " doctor | grep -A1 '^queue'"});
  EXPECT_EQ(doctor.wait_line(), "queue");
  EXPECT_NE(doctor.wait_line().find("connected within"), std::string::npos);
}

}  // namespace
}  // namespace carrel::zmq

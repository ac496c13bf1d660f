// What the host holds, does and ignores: none of it matters to its children, nor they to
// it.
#include <arpa/inet.h>
#include <carrel/process.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "handlers.h"
#include "process_server.h"
#include "process_test.h"

namespace carrel::test {
namespace {

using ForkHostTest = ProcessTest;

TEST_F(ForkHostTest, Case20_MutexHeldElsewhere_Server_Ok) {
  std::lock_guard held(shared_mutex());
  EXPECT_EQ(fork_host().run("lock").klass, OutcomeClass::kOk);
}

// Its thread has no lock that another one held when it was forked, and makes a server of
// its own.
TEST_F(ForkHostTest, AChildOfAHostWhoseThreadsOpenChannels_HasAServerOfItsOwn) {
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&over] {
      while (!over) (void)process::connect();  // or too many are on their way
    });
  }
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(status_in_child([] {
                alarm(60);  // ends one that hangs
                return prefork([](Handlers& /*none*/) {}) ? 0 : 1;
              }),
              0);
  }
  over = true;
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(eventually([] { return process::connect().has_value(); }))
      << "the server does not read what is on its way";
}

TEST_F(ForkHostTest, Case25_ChildOutlivesHostSocketAndLock_RebindWorks) {
  const auto job = fork_host().start("sleep");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  close_early_listener();
  const int again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(early_listener_port()));
  const int bound = bind(again, reinterpret_cast<sockaddr*>(&address), sizeof address);
  EXPECT_EQ(bound, 0) << "a child or the server still listens";
  close(again);
  open_early_listener();
  EXPECT_TRUE(retake_early_lock()) << "a child or the server still holds it";
  job.run->kill();
  job.sink->wait();
}

TEST_F(ForkHostTest, Case26_HostRunsWaitpidAny_RightResultAndItSeesNoChild) {
  std::atomic<bool> stop{false};
  std::atomic<int> seen{0};
  std::thread waiter([&] {
    while (!stop) {
      if (waitpid(-1, nullptr, WNOHANG) >= 0 || errno != ECHILD) ++seen;
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 50; ++i) EXPECT_EQ(fork_host().run("echo", "5").result, "5");
  EXPECT_EQ(fork_host().run("abort").signal, SIGABRT);
  stop = true;
  waiter.join();
  EXPECT_EQ(seen, 0);
}

TEST_F(ForkHostTest, Case27_HostIgnoresSigchld_RightResult) {
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ignore.sa_flags = SA_NOCLDWAIT;
  sigaction(SIGCHLD, &ignore, &before);
  EXPECT_EQ(fork_host().run("echo", "5").result, "5");
  EXPECT_EQ(fork_host().run("leave", "4").exit_code, 4);
  EXPECT_EQ(fork_host().run("abort").signal, SIGABRT);
  struct sigaction now {};
  sigaction(SIGCHLD, &before, &now);
  EXPECT_EQ(now.sa_handler, SIG_IGN) << "the host's disposition was changed";
}

TEST_F(ForkHostTest, Case28_RequestingThreadEnds_JobSurvives) {
  Host& host = fork_host();
  Started job;
  std::thread([&] {
    job = host.start("wait_stop");
    job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  }).join();
  EXPECT_FALSE(job.sink->ended());
  job.run->request_stop(StopReason::kCancel);
  EXPECT_EQ(job.sink->wait().result, "\"stopped\"");
}

TEST_F(ForkHostTest, Case29_HostOutOfDescriptors_ResourceErrorAndNothingLeaked) {
  fork_host(0).run("nothing");
  Outcome out;
  {
    const DescriptorLimit limit(0, 3);
    out = fork_host().run("nothing");
  }
  EXPECT_EQ(out.klass, OutcomeClass::kResourceError);
  EXPECT_EQ(out.error.native, EMFILE);
  EXPECT_EQ(fork_host().run("nothing").klass, OutcomeClass::kOk);
}

// Wherever it is that it finds none, and whether there are more once it has begun.
TEST_F(ForkHostTest, Case29_HostThatBeginsWithFewDescriptors_IsToldSo) {
  std::set<OutcomeClass> seen;
  for (rlim_t most = 4; !seen.contains(OutcomeClass::kOk) && most < 256; ++most) {
    std::optional<Host> host;
    try {
      const DescriptorLimit limit(0, most);
      host.emplace("fork", std::vector<KindSpec>(), 0);
    } catch (const std::exception& e) {
      EXPECT_NE(std::string(e.what()).find("open files"), std::string::npos) << e.what();
      continue;
    }
    for (const rlim_t more : {0, 1, 2}) {
      const DescriptorLimit limit(0, most + more);
      const Outcome out = host->run("nothing");
      seen.insert(out.klass);
      if (out.klass == OutcomeClass::kOk) continue;
      EXPECT_EQ(out.klass, OutcomeClass::kResourceError) << out.error.message;
      EXPECT_EQ(out.error.native, EMFILE) << out.error.message;
    }
  }
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(ForkHostTest, Case29_ServerOutOfDescriptors_ResourceErrorAndNothingLeaked) {
  fork_host(0).run("nothing");
  const pid_t server = server_pid();
  {
    // Its own descriptors fill these numbers; fewer than it polls would be no valid
    // limit.
    const DescriptorLimit limit(server, 6);
    const auto jobs = fork_host().start_many("nothing", 20);
    for (const auto& job : jobs) {
      const Outcome out = job.sink->wait();
      EXPECT_EQ(out.klass, OutcomeClass::kResourceError);
      EXPECT_EQ(out.error.native, EMFILE);
    }
  }
  EXPECT_EQ(fork_host().run("nothing").klass, OutcomeClass::kOk);
}

// It would ask in vain for ever, and nobody would hear of any end.
TEST_F(ForkHostTest, AServerThatCannotWait_WorkerLostAndMadeAgain) {
  Host& host = fork_host(0);
  const auto job = host.start("sleep");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  {
    const DescriptorLimit limit(server_pid(), 2);  // fewer than it polls
    host.start("nothing");                         // wakes it
    EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWorkerLost);
  }
  EXPECT_TRUE(eventually([&] { return host.run("nothing").klass == OutcomeClass::kOk; }));
}

// What the job has may be another's as soon as its end is told.
TEST_F(ForkHostTest, TheServerDies_TheEndIsToldOnceTheKeeperHasEndedWhatIsLeft) {
  Host& host = fork_host(0);
  const auto job = host.start("sleep_with_child");
  job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  EXPECT_FALSE(told_too_early(host, job));
  EXPECT_EQ(job.sink->wait().klass, OutcomeClass::kWorkerLost);
}

// The server has a descriptor for each child that is not born yet: it takes no more of
// them than it has room for.
TEST_F(ForkHostTest, ABurstOfMoreJobsThanTheServerHasDescriptors_AllRun) {
  fork_host(0).run("nothing");
  const DescriptorLimit own(0, 1024);
  const DescriptorLimit limit(server_pid(), 200);
  for (const auto& job : fork_host().start_many("nothing", 300)) {
    const Outcome out = job.sink->wait();
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  }
}

// A job that finds no descriptor while others are being born waits for them.
TEST_F(ForkHostTest, ABurstOfMoreJobsThanTheHostHasDescriptors_TheyWaitForOthers) {
  fork_host(0).run("nothing");
  const pid_t server = server_pid();
  const DescriptorLimit limit(0, 150);
  kill(server, SIGSTOP);
  const auto jobs = fork_host().start_many("nothing", 250);
  kill(server, SIGCONT);
  for (const auto& job : jobs) {
    const Outcome out = job.sink->wait();
    EXPECT_EQ(out.klass, OutcomeClass::kOk) << out.error.message;
  }
}

TEST_F(ForkHostTest, AUsedChildThatAJobCouldNotBeSentToStaysItsKinds) {
  KindSpec spec;
  spec.kind = "pid";
  spec.recycle = 100;
  spec.recycle_memory = 4ULL << 30;
  Host host("fork", {spec}, 1);
  const std::string pid = host.run("pid").result;
  {
    const DescriptorLimit limit(0, 3);  // it is sent in a file
    const Outcome out = host.run("pid", Json(std::string(100'000, 'x')).dump());
    EXPECT_EQ(out.klass, OutcomeClass::kResourceError);
  }
  EXPECT_NE(host.run("other_pid").result, pid);
  EXPECT_EQ(host.run("pid").result, pid);
}

TEST_F(ForkHostTest, AHandleOnARunMayOutliveItsHost) {
  Started job;
  {
    Host host("fork");
    job = host.start("sleep");
    job.sink->wait_until([](const Recorder& r) { return r.logged("ready"); });
  }
  job.run->request_stop(StopReason::kCancel);
  job.run->kill();
}

TEST_F(ForkHostTest, AnUnknownKindIsRefusedByName) {
  const Outcome out = fork_host().run("nobody_knows_it");
  EXPECT_EQ(out.klass, OutcomeClass::kFailed);
  EXPECT_NE(out.error.message.find("nobody_knows_it"), std::string::npos)
      << out.error.message;
}

}  // namespace
}  // namespace carrel::test

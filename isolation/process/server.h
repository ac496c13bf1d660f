// The process server: starts children on request, alone waits for them, and reports.
//
// One thread. It never blocks but in poll, and in a program's execve. What ends it: the
// host's death (however it dies) or its control socket's end; then everything that it
// started is killed first.
#pragma once

#include <carrel/context.h>
#include <signal.h>

#include <chrono>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "children.h"
#include "os.h"
#include "wire.h"

struct rusage;

namespace carrel::process {

class Server {
 public:
  // Of a process that has one thread, all signals blocked, their dispositions at the
  // default, and nothing open but stdio and these. `control`: each message on it brings
  // one descriptor, a new channel (wire.h). `host`: a pidfd.
  Server(UniqueFd control, UniqueFd host, const Handlers& handlers);
  [[noreturn]] void run();

 private:
  using Clock = std::chrono::steady_clock;
  // A host's engine has one for each of its isolations.
  struct Client {
    UniqueFd socket;
    std::uint32_t number = 0;
    std::vector<Reply> replies;       // not sent yet
    std::vector<UniqueFd> reply_fds;  // of those that are kReady, in order
    std::uint64_t wanted = 0;         // children to be forked for it yet
    Clock::time_point hold_until{};   // when those that it may hear of later are told of
    bool urgent = false;              // one of them it must hear of now
    bool hurry = false;               // a job waits for one of them
    bool stuck = false;               // its socket is full
    bool gone = false;
  };
  struct Child {
    std::uint64_t run = 0;
    std::uint32_t client = 0;
    std::uint32_t drain_ms = 0;
    bool killed = false;
  };
  struct End {
    pid_t leader = 0;
    Child child;
    Reply reply;
  };

  int poll_timeout() const;
  int linger_timeout() const;
  void accept_client();
  // A process that makes sandboxes, and then talks with the host itself.
  void make_room(int socket, std::string_view blueprint);
  void serve(Client& client);
  // Forks one child, if a client wants one; each client in its turn.
  void breed();
  void fork_child(Client& client);
  void spawn_job(Client& client, const RequestHead& head, std::string_view body,
                 std::vector<UniqueFd>& fds);
  void signal_run(const RequestHead& head);
  void adopt(pid_t pid, const Client& client, std::uint64_t run, std::uint32_t drain_ms);

  void reap();
  void ended(pid_t pid, int status, const rusage& used);
  // Kills what ended jobs left behind, and notes in ends_ that they did; see
  // isolation/README.md for what is left alone.
  void survey();
  void note_leftover(pid_t session, pid_t group);
  bool may_linger(pid_t session);
  // Children that no job waits for are told of when all that were asked for are there,
  // and ends that no job waits for with them; or when they have been kept back long
  // enough.
  static bool held_back(const Client& client);
  static void tell(Client& client, const Reply& reply);
  void flush(Client& client);
  void drop(Client& client);
  Client* find_client(std::uint32_t number);
  [[noreturn]] void end_all();

  UniqueFd control_;
  UniqueFd host_;
  UniqueFd signals_;
  const Handlers& handlers_;
  const pid_t pid_;
  sigset_t no_signals_;  // a child must call, and load, as little as it can
  ChildList list_;
  std::deque<Client> clients_;
  std::uint32_t last_client_ = 0;
  std::size_t next_to_breed_ = 0;
  std::uint64_t last_forked_ = kFirstForked;
  std::unordered_map<pid_t, Child> children_;         // by leader, which is its session
  std::unordered_map<std::uint64_t, pid_t> leaders_;  // by run
  std::unordered_set<pid_t> rooms_;
  std::unordered_map<pid_t, Clock::time_point> linger_;  // ended sessions, until when
  std::vector<End> ends_;                                // not told yet
  std::vector<pid_t> listed_;
  std::vector<char> buffer_;
  Received received_;
  SpawnJob spawn_;
};

}  // namespace carrel::process

// The process server: starts children on request, alone waits for them, and reports.
//
// One thread. It never blocks but in poll, and in a program's execve. What ends it: the
// host's death (however it dies) or its control socket's end; then everything that it
// started is ended first (family.h).
#pragma once

#include <carrel/context.h>
#include <poll.h>
#include <signal.h>

#include <chrono>
#include <deque>
#include <string>
#include <vector>

#include "family.h"
#include "os.h"
#include "wire.h"

namespace carrel::process {

class Server {
 public:
  // Of a process that has one thread, all signals blocked, their dispositions at the
  // default, and nothing open but stdio and these. `control`: each message on it brings
  // one descriptor, a new channel (wire.h). `host`: a pidfd.
  Server(UniqueFd control, UniqueFd host, const Handlers& handlers);
  [[noreturn]] void run();
  // One turn of it: waits for something to happen, `at_most_ms` at the longest (-1: for
  // ever), and sees to that.
  void turn(int at_most_ms = -1);

 private:
  using Clock = std::chrono::steady_clock;
  struct Unborn {
    std::uint64_t number = 0;
    UniqueFd socket;
  };
  // A host's engine has one for each of its isolations.
  struct Client {
    UniqueFd socket;
    std::uint32_t number = 0;
    std::vector<Reply> replies;      // not sent yet
    std::deque<Unborn> wanted;       // to be forked for it yet
    std::size_t untold_births = 0;   // fewer than kBirthsPerNote
    Clock::time_point hold_until{};  // when those that it may hear of later are told of
    bool urgent = false;             // one of them it must hear of now
    bool stuck = false;              // its socket is full
    bool gone = false;
  };

  int poll_timeout(int at_most_ms) const;
  void accept_client();
  // A process that makes sandboxes, and then talks with the host itself.
  void make_room(int socket, std::string_view blueprint);
  void serve(Client& client);
  // Forks one child, if a client wants one; each client in its turn.
  void breed();
  void fork_child(Client& client);
  // One of those that the client asked for waits no more.
  static void note_birth(Client& client);
  void spawn_job(Client& client, const RequestHead& head, std::string_view body,
                 std::vector<UniqueFd>& fds);

  void signal_run(Client& client, const RequestHead& head);
  void reap();
  // Ends that no job waits for are told with what must be told at once, or when they have
  // been kept back long enough.
  static bool held_back(const Client& client);
  static void tell(Client& client, const Reply& reply);
  void flush(Client& client);
  void drop(Client& client);
  Client* find_client(std::uint32_t number);
  [[noreturn]] void end_all(int code);

  UniqueFd control_;
  UniqueFd host_;
  const Handlers& handlers_;
  const pid_t pid_;
  sigset_t no_signals_;  // a child must call, and load, as little as it can
  Family family_;
  std::deque<Client> clients_;
  std::uint32_t last_client_ = 0;
  std::size_t next_to_breed_ = 0;
  std::vector<pollfd> polled_;
  std::vector<char> buffer_;
  Received received_;
  SpawnJob spawn_;
};

}  // namespace carrel::process

#include "server.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "../sandbox/room.h"
#include "fork_child.h"
#include "spawner.h"

namespace carrel::process {
namespace {

constexpr std::size_t kReceive = 64 * 1024;
constexpr std::size_t kRepliesPerMessage = 64;
constexpr int kHoldMs = 1;

// A forked child that ended well has mostly said so itself before. A host that waits to
// be told of births has others that are not born yet.
bool can_wait(const Reply& reply) {
  if (reply.what == Reply::What::kBirths) return true;
  return reply.what == Reply::What::kEnded && reply.run >= kFirstForked &&
         reply.status == 0;
}

// Beside stdio.
void close_all_but(int fd) {
  close_range(3, static_cast<unsigned>(fd) - 1, 0);
  close_range(static_cast<unsigned>(fd) + 1, ~0U, 0);
}

}  // namespace

Server::Server(UniqueFd control, UniqueFd host, const Handlers& handlers)
    : control_(std::move(control)),
      host_(std::move(host)),
      handlers_(handlers),
      pid_(getpid()),
      buffer_(kReceive) {
  sigemptyset(&no_signals_);
}

void Server::run() {
  for (;;) turn();
}

void Server::turn(int at_most_ms) {
  polled_ = {{family_.signals(), POLLIN, 0},
             {control_.get(), POLLIN, 0},
             {host_.get(), POLLIN, 0}};
  for (const auto& client : clients_) {
    const int tell = client.stuck ? POLLOUT : 0;
    polled_.push_back({client.socket.get(), static_cast<short>(POLLIN | tell), 0});
  }
  if (poll(polled_.data(), polled_.size(), poll_timeout(at_most_ms)) < 0) {
    if (errno != EINTR) end_all(1);  // the keeper makes another
    return;
  }
  if (polled_[2].revents != 0) end_all(0);
  if (polled_[0].revents != 0) reap();
  if (family_.linger_ms() == 0) family_.survey();
  for (std::size_t i = 3; i < polled_.size(); ++i) {
    Client& client = clients_[i - 3];
    if ((polled_[i].revents & POLLOUT) != 0) client.stuck = false;
    if ((polled_[i].revents & (POLLHUP | POLLERR)) != 0) {
      drop(client);  // nobody wants any more what it still asks for
    } else if ((polled_[i].revents & POLLIN) != 0) {
      serve(client);
    }
  }
  for (auto& client : clients_) flush(client);
  std::erase_if(clients_, [](const Client& client) { return client.gone; });
  if (polled_[1].revents != 0) accept_client();
  // Last, one at a time: no end of a job waits to be told for a fork, and the news of
  // the child goes out with what else there is by then.
  breed();
}

int Server::poll_timeout(int at_most_ms) const {
  int timeout = family_.linger_ms();
  if (at_most_ms >= 0 && (timeout < 0 || timeout > at_most_ms)) timeout = at_most_ms;
  for (const auto& client : clients_) {
    const bool untold = !client.replies.empty() && !client.stuck;
    if (!client.wanted.empty() || (untold && !held_back(client))) return 0;
    if (untold && (timeout < 0 || timeout > kHoldMs)) timeout = kHoldMs;
  }
  return timeout;
}

void Server::tell(Client& client, const Reply& reply) {
  if (client.replies.empty()) {
    client.hold_until = Clock::now() + std::chrono::milliseconds(kHoldMs);
  }
  client.urgent = client.urgent || !can_wait(reply);
  client.replies.push_back(reply);
}

bool Server::held_back(const Client& client) {
  return !client.urgent && Clock::now() < client.hold_until;
}

void Server::accept_client() {
  receive_message(control_.get(), buffer_, received_);
  if (received_.size == 0) end_all(0);
  if (received_.size < 0) return;
  const std::string_view what(buffer_.data(), static_cast<std::size_t>(received_.size));
  for (std::size_t i = 0; i < received_.fd_count; ++i) {
    if (what.starts_with(kRoomMark)) {
      make_room(received_.fds[i], what.substr(kRoomMark.size()));
      continue;
    }
    Client& client = clients_.emplace_back();
    client.socket.reset(received_.fds[i]);
    client.number = ++last_client_;
  }
}

void Server::make_room(int socket, std::string_view blueprint) {
  UniqueFd channel(socket);
  const pid_t pid = fork();
  if (pid > 0) family_.adopt_room(pid);
  if (pid != 0) return;  // without a room the host finds its channel closed
  become_leader(pid_);
  close_all_but(socket);
  sandbox::keep_room(std::move(channel), blueprint);
}

void Server::serve(Client& client) {
  receive_message(client.socket.get(), buffer_, received_);
  if (received_.size == 0 || (received_.size < 0 && received_.error != EAGAIN)) {
    drop(client);
    return;
  }
  if (received_.size < 0) return;
  std::vector<UniqueFd> fds;
  std::size_t next_fd = 0;
  Reader in({buffer_.data(), static_cast<std::size_t>(received_.size)});
  std::string file_body;
  while (!in.done()) {
    const auto head = in.get<RequestHead>();
    std::string_view body = in.get_bytes(head.inline_bytes);
    if (!in.ok()) break;
    if (head.ask == Ask::kSignal) {
      signal_run(client, head);
      continue;
    }
    fds.clear();
    for (std::size_t i = 0; i < head.fds && next_fd < received_.fd_count; ++i) {
      fds.emplace_back(received_.fds[next_fd++]);
    }
    Reply failed{.run = head.run, .what = Reply::What::kNotForked};
    if (fds.size() < head.fds) {
      failed.error = EMFILE;  // the kernel dropped what this process had no room for
    } else if (head.body_in_file) {
      if (read_memory_file(fds.back().get(), file_body)) {
        body = file_body;
      } else {
        failed.error = EIO;
      }
      fds.pop_back();
    }
    if (failed.error != 0) {
      if (head.ask == Ask::kFork) note_birth(client);
      tell(client, failed);
    } else if (head.ask == Ask::kFork) {
      if (!fds.empty()) client.wanted.push_back({head.run, std::move(fds.front())});
    } else {
      spawn_job(client, head, body, fds);
    }
  }
  while (next_fd < received_.fd_count) UniqueFd(received_.fds[next_fd++]).reset();
}

void Server::breed() {
  for (std::size_t tried = 0; tried < clients_.size(); ++tried) {
    Client& client = clients_[next_to_breed_++ % clients_.size()];
    if (!client.wanted.empty()) return fork_child(client);
  }
}

void Server::fork_child(Client& client) {
  const Unborn next = std::move(client.wanted.front());
  client.wanted.pop_front();
  note_birth(client);
  const pid_t pid = fork();
  if (pid == 0) {
    become_leader(pid_);
    const int socket = next.socket.get();
    close_all_but(socket);
    sigprocmask(SIG_SETMASK, &no_signals_, nullptr);
    run_forked_child(handlers_, socket);
  }
  if (pid > 0) {
    family_.adopt(pid, {.run = next.number, .client = client.number});
    return;
  }
  // Nor would the others be.
  const int error = errno;
  tell(client, {.run = next.number, .what = Reply::What::kNotForked, .error = error});
  for (const Unborn& other : std::exchange(client.wanted, {})) {
    note_birth(client);
    tell(client, {.run = other.number, .what = Reply::What::kNotForked, .error = error});
  }
}

void Server::note_birth(Client& client) {
  if (++client.untold_births < kBirthsPerNote) return;
  client.untold_births = 0;
  tell(client, {.what = Reply::What::kBirths});
}

void Server::spawn_job(Client& client, const RequestHead& head, std::string_view body,
                       std::vector<UniqueFd>& fds) {
  Reader in(body);
  Reply failed{.run = head.run, .what = Reply::What::kNotSpawned};
  if (fds.size() != 4 || !decode(in, spawn_)) {
    failed.error = EPROTO;
    tell(client, failed);
    return;
  }
  const int numbers[4] = {fds[0].get(), fds[1].get(), fds[2].get(), fds[3].get()};
  const Spawned spawned = spawn(spawn_, numbers);
  if (spawned.pid < 0) {
    failed.stage = spawned.stage;
    failed.error = spawned.error;
    if (spawned.stage == Reply::Stage::kNone) failed.what = Reply::What::kNotForked;
    tell(client, failed);
    return;
  }
  family_.adopt(spawned.pid,
                {.run = head.run, .client = client.number, .drain_ms = head.drain_ms});
}

void Server::signal_run(Client& client, const RequestHead& head) {
  if (family_.signal(head)) return;
  const auto unborn =
      std::find_if(client.wanted.begin(), client.wanted.end(),
                   [&](const Unborn& child) { return child.number == head.run; });
  if (unborn == client.wanted.end()) return;  // it has ended
  client.wanted.erase(unborn);
  note_birth(client);
  tell(client, {.run = head.run, .what = Reply::What::kEnded, .status = head.signal});
}

void Server::reap() {
  for (const auto& [leader, child, reply] : family_.reap()) {
    if (Client* client = find_client(child.client)) tell(*client, reply);
  }
}

void Server::flush(Client& client) {
  if (client.replies.empty() || held_back(client)) return;
  client.urgent = false;
  while (!client.replies.empty() && !client.stuck && !client.gone) {
    const auto count =
        static_cast<std::ptrdiff_t>(std::min(client.replies.size(), kRepliesPerMessage));
    const std::span told(client.replies.data(), static_cast<std::size_t>(count));
    const std::string_view bytes(reinterpret_cast<const char*>(told.data()),
                                 told.size_bytes());
    const int error = send_message(client.socket.get(), bytes, {});
    if (error == EAGAIN || error == ENOBUFS) {
      client.stuck = true;
    } else if (error != 0) {
      drop(client);
    } else {
      client.replies.erase(client.replies.begin(), client.replies.begin() + count);
    }
  }
}

void Server::drop(Client& client) {
  client.gone = true;
  client.wanted.clear();
  client.replies.clear();
  family_.kill_those_of(client.number);
}

Server::Client* Server::find_client(std::uint32_t number) {
  for (auto& client : clients_) {
    if (client.number == number && !client.gone) return &client;
  }
  return nullptr;
}

void Server::end_all(int code) {
  family_.end();
  _exit(code);
}

}  // namespace carrel::process

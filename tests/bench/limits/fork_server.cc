#include "fork_server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {
namespace {

constexpr std::size_t kMaxInFlight = 64;
constexpr std::size_t kResult = 1024;

struct Request {
  std::uint32_t slot;
  char payload[196];
};
static_assert(sizeof(Request) == 200);

struct Answer {
  std::uint32_t slot;
  int status;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

// False: there is none yet. The host's end of the socket is closed: ends the process.
bool receive(int socket, Request& request, int& pipe) {
  iovec bytes{&request, sizeof request};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return false;
  if (got == 0) std::_Exit(0);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (got != sizeof request || header == nullptr) die("recvmsg");
  std::memcpy(&pipe, CMSG_DATA(header), sizeof pipe);
  return true;
}

[[noreturn]] void serve(int socket) {
  sigset_t child_only;
  sigset_t before;
  sigemptyset(&child_only);
  sigaddset(&child_only, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child_only, &before);
  struct sigaction wake {};
  wake.sa_handler = [](int) {};
  sigaction(SIGCHLD, &wake, nullptr);

  std::array<pid_t, kMaxInFlight> running{};
  for (;;) {
    pollfd readable{socket, POLLIN, 0};
    ppoll(&readable, 1, nullptr, &before);
    Request request;
    int pipe;
    while (receive(socket, request, pipe)) {
      const pid_t pid = fork();
      if (pid < 0) die("fork");
      if (pid == 0) {
        char result[kResult];
        std::memset(result, request.payload[0], sizeof result);
        std::_Exit(write(pipe, result, sizeof result) == sizeof result ? 0 : 1);
      }
      close(pipe);
      running[request.slot] = pid;
    }
    int status;
    for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
      Answer answer{0, status};
      while (running[answer.slot] != ended) ++answer.slot;
      running[answer.slot] = 0;
      if (send(socket, &answer, sizeof answer, MSG_NOSIGNAL) < 0) std::_Exit(0);
    }
  }
}

// Sends one request; the answer is the end of its pipe to read the result from.
int submit(int socket, std::uint32_t slot) {
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) < 0) die("pipe2");
  Request request{};
  request.slot = slot;
  iovec bytes{&request, sizeof request};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &pipe[1], sizeof(int));
  if (sendmsg(socket, &message, MSG_NOSIGNAL) != sizeof request) die("sendmsg");
  close(pipe[1]);
  return pipe[0];
}

}  // namespace

ForkServer::ForkServer() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) die("socketpair");
  pid_ = fork();
  if (pid_ < 0) die("fork");
  if (pid_ == 0) {
    close(ends[0]);
    serve(ends[1]);
  }
  close(ends[1]);
  socket_ = ends[0];
}

ForkServer::~ForkServer() {
  close(socket_);
  waitpid(pid_, nullptr, 0);
}

double ForkServer::run(std::size_t jobs, std::size_t in_flight) {
  if (in_flight < 1 || in_flight > kMaxInFlight) die("in_flight");
  std::array<int, kMaxInFlight> pipes{};
  const auto begin = std::chrono::steady_clock::now();
  std::size_t sent = 0;
  for (; sent < in_flight && sent < jobs; ++sent) pipes[sent] = submit(socket_, sent);
  for (std::size_t done = 0; done < jobs; ++done) {
    Answer answer;
    if (recv(socket_, &answer, sizeof answer, 0) != sizeof answer) die("recv");
    char result[kResult];
    if (answer.status != 0 ||
        read(pipes[answer.slot], result, sizeof result) != kResult) {
      die("result");
    }
    close(pipes[answer.slot]);
    if (sent < jobs) {
      pipes[answer.slot] = submit(socket_, answer.slot);
      ++sent;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return took.count();
}

}  // namespace bench

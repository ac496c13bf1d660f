// A host application that embeds a broker: serves a memory store, runs the program that
// it is given with the URL, and ends as that ends.
#include <carrel/memory.h>
#include <carrel/zmq.h>
#include <spawn.h>
#include <sys/wait.h>

#include <iostream>
#include <string>

extern char** environ;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  carrel::zmq::BrokerOptions options;
  options.listen = {"tcp://127.0.0.1:*"};
  auto broker = carrel::zmq::Broker::start(options, carrel::make_memory_store({}));
  if (!broker) {
    std::cerr << broker.error().message << '\n';
    return 1;
  }
  std::string url = "zmq+" + (*broker)->endpoints().at(0);
  char* command[] = {argv[1], url.data(), nullptr};
  pid_t pid = -1;
  int status = 0;
  if (posix_spawn(&pid, argv[1], nullptr, nullptr, command, environ) != 0 ||
      waitpid(pid, &status, 0) != pid) {
    std::cerr << "cannot run " << argv[1] << '\n';
    return 1;
  }
  const carrel::zmq::BrokerHealth health = (*broker)->health();
  std::cout << health.requests << " requests\n";
  return WIFEXITED(status) && health.requests > 0 ? WEXITSTATUS(status) : 1;
}

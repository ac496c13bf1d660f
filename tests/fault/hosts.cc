#include "hosts.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

namespace carrel::fault {
namespace {

constexpr const char* kUnshare = "/usr/bin/unshare";
constexpr const char* kNsenter = "/usr/bin/nsenter";
constexpr const char* kCable = "cable";

std::string find_ip() {
  for (const char* path : {"/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip"}) {
    if (access(path, X_OK) == 0) return path;
  }
  return {};
}

// Until its input ends: that of the test.
std::vector<std::string> stay() { return {"/bin/sh", "-c", "echo READY; exec cat"}; }

bool succeeds(const std::vector<std::string>& command) {
  Child child(command);
  const auto status = child.wait_end(std::chrono::seconds(60));
  return status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
}

std::vector<std::string> joined(std::vector<std::string> a,
                                const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

std::string Hosts::address(std::size_t host) {
  return "10.77.0." + std::to_string(host + 1);
}

std::vector<std::string> Hosts::at(std::size_t host,
                                   std::vector<std::string> command) const {
  return joined({kNsenter, "--target", std::to_string(hosts_[host]->pid()), "--user",
                 "--net", "--preserve-credentials", "--"},
                command);
}

bool Hosts::run(std::size_t host, std::vector<std::string> command) const {
  return succeeds(at(host, std::move(command)));
}

void Hosts::cable(std::size_t host, const char* how) const {
  if (!run(host, {find_ip(), "link", "set", kCable, how})) {
    throw std::runtime_error(std::string("a cable cannot be set ") + how);
  }
}

std::unique_ptr<Hosts> Hosts::make(std::string& missing) {
  const std::string ip = find_ip();
  if (ip.empty()) {
    missing = "the command ip (Debian package iproute2)";
    return nullptr;
  }
  std::unique_ptr<Hosts> hosts(new Hosts);
  // The second within the user namespace of the first, whose root may join the two.
  hosts->hosts_[0] = std::make_unique<Child>(
      joined({kUnshare, "--user", "--map-root-user", "--net"}, stay()));
  if (hosts->hosts_[0]->wait_line() != "READY") {
    missing = "network namespaces for this user (user namespaces, CLONE_NEWNET)";
    return nullptr;
  }
  hosts->hosts_[1] = std::make_unique<Child>(
      joined({kNsenter, "--target", std::to_string(hosts->hosts_[0]->pid()), "--user",
              "--preserve-credentials", "--", kUnshare, "--net"},
             stay()));
  if (hosts->hosts_[1]->wait_line() != "READY") {
    missing = "a second network namespace (CLONE_NEWNET)";
    return nullptr;
  }
  if (!hosts->run(0, {ip, "link", "add", kCable, "type", "veth", "peer", "name", kCable,
                      "netns", std::to_string(hosts->hosts_[1]->pid())})) {
    missing = "a pair of virtual network devices (veth)";
    return nullptr;
  }
  for (std::size_t host : {0, 1}) {
    if (!hosts->run(host, {ip, "link", "set", "lo", "up"}) ||
        !hosts->run(host, {ip, "address", "add", address(host) + "/24", "dev", kCable}) ||
        !hosts->run(host, {ip, "link", "set", kCable, "up"})) {
      missing = "the right to set up a network in a namespace of one's own";
      return nullptr;
    }
  }
  return hosts;
}

}  // namespace carrel::fault

// ZeroMQ's authentication hook, ZAP (RFC 27): one handler for all brokers of a process.
#pragma once

#include <memory>
#include <string>

#include "keys.h"

namespace carrel::zmq {

// A broker's name for the handler, and its keys there, for as long as it lives. Must be
// there before its socket is bound. Threads: safe.
class ZapDomain {
 public:
  static Result<std::unique_ptr<ZapDomain>> add(std::shared_ptr<const Keys> keys);
  ~ZapDomain();
  ZapDomain(const ZapDomain&) = delete;
  ZapDomain& operator=(const ZapDomain&) = delete;

  const std::string& name() const noexcept { return name_; }

 private:
  explicit ZapDomain(std::string name) : name_(std::move(name)) {}
  const std::string name_;
};

}  // namespace carrel::zmq

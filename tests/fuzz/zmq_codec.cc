// Frames of the ZeroMQ backend: whatever comes over the wire is a message, read and
// written alike, or it is none. Requests are also checked as the broker does it.
#include <cstddef>
#include <cstdint>
#include <string>

#include "call.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace carrel::zmq;
  std::string frame(reinterpret_cast<const char*>(data), size);
  // Of another version there is nothing to find.
  if (frame.size() > kVersionAt) frame[kVersionAt] = static_cast<char>(kVersion);
  const auto head = head_of(frame);
  if (!understood(frame)) return 0;
  if (const auto request = read_request(head->type, body_of(frame))) {
    static_cast<void>(check(*request, 1'024));
  }
  return 0;
}

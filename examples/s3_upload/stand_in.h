// A small server that speaks enough of S3 for this example, and checks every signature:
// PUT and GET of an object, in memory. A stand-in, so that the example needs no account:
// no buckets, no lists, no multipart uploads.
#pragma once

// clang-format off: awaitable.hpp of Boost 1.74 forgets <utility>
#include <utility>
// clang-format on

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "signature.h"

namespace s3 {

// What it does to an upload instead of what was asked.
enum class Fault {
  kNone,
  kHang,    // never answers
  kRefuse,  // 503 SlowDown
  kCut,     // closes the connection while the body comes
};

struct StandInOptions {
  Key key;
  std::chrono::milliseconds delay{0};  // before it answers an upload
  // Of so many keys with the word "faulty" in them, in the order in which they first
  // come, the first hangs, the second is refused and the third is cut off; a third of
  // those at their second upload, too. 0: none.
  unsigned faulty_one_in = 0;
};

// Listens on 127.0.0.1, on a port of the system's choice, on a thread of its own, until
// it is destroyed. Any thread may call.
class StandIn {
 public:
  explicit StandIn(StandInOptions options);  // throws boost::system::system_error
  ~StandIn();
  StandIn(const StandIn&) = delete;
  StandIn& operator=(const StandIn&) = delete;

  std::string endpoint() const { return endpoint_; }  // "http://127.0.0.1:40001"
  // What it did with keys that begin with `first` and a slash: {"stored": 3, "hung": 1,
  // …} of "stored", "unsigned", "hung", "refused", "cut".
  nlohmann::json counts(const std::string& first);

 private:
  using Stream = boost::beast::tcp_stream;
  boost::asio::awaitable<void> accept();
  boost::asio::awaitable<void> serve(Stream stream);
  Fault next_fault(const std::string& path);
  void count(const std::string& path, const char* what);

  struct Answer {
    unsigned status = 200;
    std::string body;
    std::string etag;
  };
  Answer answer(const SignedRequest& request);

  const StandInOptions options_;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  const std::string endpoint_;
  std::map<std::string, std::string> objects_;  // by path
  struct Faulty {
    std::size_t place;     // among the faulty keys
    unsigned uploads = 0;  // that were begun
  };
  std::map<std::string, Faulty> faulty_;
  nlohmann::json counts_ = nlohmann::json::object();  // by the first part of the keys
  std::thread thread_;
};

}  // namespace s3

// A small server that stands in for an SMS gateway: slow, and it counts.
//
//   POST /GROUP   {"to": "…", "text": "…"}   202, after a while
//
// What comes with an Idempotency-Key that it has seen in this group is answered as before
// and not sent again, as such services do.
#pragma once

// clang-format off: awaitable.hpp of Boost 1.74 forgets <utility>
#include <utility>
// clang-format on

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <thread>

namespace sms {

// Listens on 127.0.0.1, on a port of the system's choice, on a thread of its own, until
// it is destroyed. Any thread may call.
class Gateway {
 public:
  // `delay`: how long it takes to answer.
  explicit Gateway(std::chrono::milliseconds delay);  // boost::system::system_error
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  std::string endpoint() const { return endpoint_; }  // "http://127.0.0.1:40001"

  struct Counts {
    std::size_t requests = 0;
    std::size_t messages = 0;  // that went out
  };
  Counts counts(const std::string& group);

 private:
  using Stream = boost::beast::tcp_stream;
  boost::asio::awaitable<void> accept();
  boost::asio::awaitable<void> serve(Stream stream);

  struct Group {
    Counts counts;
    std::set<std::string> keys;
  };

  const std::chrono::milliseconds delay_;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  const std::string endpoint_;
  std::map<std::string, Group> groups_;
  std::thread thread_;
};

}  // namespace sms
